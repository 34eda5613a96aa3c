"""A whole configuration: both doors, callers let in, certificates that run out, secrets."""

import json
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import structlog

from dicom_node.assembly import parts as node
from dicom_node.assembly.destinations import outgoing
from dicom_node.commands import cli
from dicom_node.domain.errors import BadSettings
from dicom_node.network.tls.contexts import client_context, server_context
from dicom_node.operations import alarms
from dicom_node.operations.certificates import security_checks
from dicom_node.roles import receive
from dicom_node.roles.console.views import views
from dicom_node.settings.settings import Settings, load_settings
from tests.support.certificates import Authority, Pair
from tests.support.encoded import chest
from tests.support.listeners import SecureHL7Listener, free_port
from tests.support.raw_scu import RawSCU
from tests.support.tls_files import files_of

CONFIGURATION = """
[node]
host = "127.0.0.1"
port = {port}
[receive]
min_free_gb = 0
unknown_callers = "learn"
[tls]
mode = "mutual"
certificate = "{certificate}"
key = "{key}"
ca = "{ca}"
port = {secure}
[[peers]]
name = "safe"
ae_title = "SAFE"
host = "127.0.0.1"
tls = true
"""
NOT_RECOGNISED = (1, 1, 3)


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    logging.getLogger().handlers.clear()


def configured(folder: Path, authority: Authority, pair: Pair, **more: object) -> Path:
    known = {"port": free_port(), "secure": free_port(), "ca": authority.ca, **vars(pair), **more}
    path = folder / "node.toml"
    path.write_text(CONFIGURATION.format(**known))
    return path


@pytest.fixture
def config(tmp_path: Path, authority: Authority, node_pair: Pair) -> Path:
    path = configured(tmp_path, authority, node_pair)
    node.open_parts(load_settings(path), migrate=True).close()
    return path


@contextmanager
def receiving(settings: Settings) -> Iterator[None]:
    """Run the role as `dicom-node receive` does, in a thread."""
    stop = threading.Event()
    role = threading.Thread(target=receive.run, args=(settings, stop))
    role.start()
    try:
        yield
    finally:
        stop.set()
        role.join(30)


def call(scu: RawSCU, until_s: float = 15) -> int:
    """Store a film, or give 0xFFFF when rejected; waits for the role to start."""
    give_up_at = time.monotonic() + until_s
    while True:
        try:
            with scu:
                return scu.store(chest()).status if scu.answer[0] == 2 else 0xFFFF
        except ConnectionRefusedError:
            assert time.monotonic() < give_up_at
            time.sleep(0.05)


def test_both_doors_and_a_caller_that_is_let_in(
    config: Path, authority: Authority, peer_pair: Pair, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = load_settings(config)
    context = client_context(files_of(peer_pair, authority.ca))
    wrap = partial(context.wrap_socket, server_hostname="127.0.0.1")
    new = b"NEW@ROOM"

    def command(*words: str) -> str:
        code = cli.main(["callers", "-c", str(config), *words])
        return f"{code} {capsys.readouterr().out}"

    assert "nobody was turned away" in command()
    with receiving(settings):
        assert call(RawSCU(settings.tls.port, calling=b"SAFE", wrap=wrap)) == 0
        assert call(RawSCU(settings.node.port, calling=b"SAFE")) == 0xFFFF
        assert call(RawSCU(settings.node.port, calling=new)) == 0xFFFF
        assert call(RawSCU(settings.tls.port, calling=new, wrap=wrap)) == 0xFFFF
        assert "waiting  NEW@ROOM@127.0.0.1  2 times" in command()
        assert command("--approve", "OTHER@127.0.0.1").startswith("1 OTHER@127.0.0.1 is not known")
        assert command("--approve", "NEW@ROOM@127.0.0.1").startswith("0 ")
        assert call(RawSCU(settings.node.port, calling=new)) == 0
        assert call(RawSCU(settings.tls.port, calling=new, wrap=wrap)) == 0
        assert call(RawSCU(settings.node.port, calling=b"THIRD")) == 0xFFFF
        listed = command()
        assert "served   NEW@ROOM@127.0.0.1  since " in listed
        assert "waiting  THIRD@127.0.0.1  1 times" in listed
        assert command("--forget", "NEW@ROOM@127.0.0.1").startswith("0 ")
        assert call(RawSCU(settings.node.port, calling=new)) == 0xFFFF
    assert cli.main(["callers", "-c", str(config), "--approve", "NOBODY"]) == 2


def test_the_plain_door_may_stay_shut(config: Path, authority: Authority, peer_pair: Pair) -> None:
    settings = load_settings(config)
    settings = settings.model_copy(update={"tls": settings.tls.model_copy(update={"plain": False})})
    context = client_context(files_of(peer_pair, authority.ca))
    wrap = partial(context.wrap_socket, server_hostname="127.0.0.1")
    with receiving(settings):
        assert call(RawSCU(settings.tls.port, calling=b"SAFE", wrap=wrap)) == 0
        with pytest.raises(ConnectionRefusedError):
            RawSCU(settings.node.port).__enter__()


def test_a_role_without_its_key_does_not_start(tmp_path: Path, authority: Authority) -> None:
    pair = authority.issue("gone")
    config = configured(tmp_path, authority, pair)
    settings = load_settings(config)
    node.open_parts(settings, migrate=True).close()
    pair.key.unlink()
    with pytest.raises(BadSettings, match=r"tls\.key: .* cannot be read"):
        receive.run(settings, threading.Event())


def test_certificates_that_end_soon_are_told(
    tmp_path: Path, authority: Authority, capsys: pytest.CaptureFixture[str]
) -> None:
    pair = authority.issue("soon", days=(-300, 29))
    config = configured(tmp_path, authority, pair)
    settings, now = load_settings(config), time.time()
    tls, ending = security_checks(settings, now)
    assert tls.words == (
        f"callers are served over TLS (mutual) on port {settings.tls.port}, "
        f"and without TLS on port {settings.node.port}"
    )
    assert not ending.ok
    assert "tls.certificate (CN=soon) expires on " in ending.words
    parts = node.open_parts(settings, migrate=True)
    alarms.watch_certificates(parts, now)
    alarms.watch_certificates(parts, now + 900)
    capsys.readouterr()
    cli.main(["status", "-c", str(config), "--json"])
    (alarm,) = json.loads(capsys.readouterr().out)["alarms"]
    assert (alarm["kind"], alarm["words"]) == ("certificate_expires", ending.words)
    shown = 'dicom_node_alarms_open{kind="certificate_expires"} 1.0'
    assert shown in views(settings).metrics()
    # a newer one of the same name
    authority.issue("soon")
    alarms.watch_certificates(parts, now + 1800)
    parts.close()
    cli.main(["status", "-c", str(config), "--json"])
    assert json.loads(capsys.readouterr().out)["alarms"] == []


def test_what_is_wrong_with_files_is_one_line_each(tmp_path: Path, authority: Authority) -> None:
    pair = authority.issue("open", days=(-30, -1))
    settings = load_settings(configured(tmp_path, authority, pair))
    pair.key.chmod(0o644)
    said = {one.words for one in security_checks(settings, time.time()) if not one.ok}
    assert f"tls.key {pair.key} can be read by everybody: chmod 600 it" in said
    assert any("tls.certificate (CN=open) expired on " in one for one in said)
    pair.certificate.write_text("nothing")
    (fault,) = security_checks(settings, time.time())
    assert "both must be PEM" in fault.words


def test_the_end_of_a_destinations_certificate_is_told(
    tmp_path: Path, authority: Authority
) -> None:
    pair = authority.issue("ris", days=(-300, 20))
    server = server_context(files_of(pair, authority.ca), mutual=False)
    config = configured(tmp_path, authority, authority.issue("us"))
    with SecureHL7Listener(server) as ris:
        where = f'name = "ris"\nhost = "{ris.host}"\nport = {ris.port}\ntls = true\n'
        config.write_text(f"{config.read_text()}[[hl7]]\n{where}")
        _, ending = security_checks(load_settings(config), time.time())
    assert ending.words.startswith("the certificate of ris (CN=ris) expires on ")


def test_tls_of_one_destination_needs_no_file_of_ours(tmp_path: Path) -> None:
    config = tmp_path / "node.toml"
    peer = '[[peers]]\nname = "p"\nae_title = "P"\nhost = "h"\nport = 1\n'
    config.write_text(peer + "tls = true\n")
    settings = load_settings(config)
    check, shut_out = security_checks(settings, time.time())
    assert check.ok
    assert shut_out.words.startswith('p: cannot send while tls.mode = "off"')
    assert outgoing(settings, settings.peers[0]) is not None
    config.write_text(peer)
    settings = load_settings(config)
    assert list(security_checks(settings, time.time())) == []
    assert outgoing(settings, settings.peers[0]) is None
