"""Who is not let in is in the trail, whichever door it is."""

import os
import signal
import socket
import subprocess
import sys
from base64 import b64decode
from http.client import HTTPConnection
from pathlib import Path

import pytest

from dicom_node.assembly import parts as node
from dicom_node.assembly.destinations import secured_entry
from dicom_node.audit.chain import verify
from dicom_node.audit.gathering import MOST_ALERTS, AlertThrottle
from dicom_node.commands.conformance.tables import security
from dicom_node.roles.dicomweb import server
from dicom_node.roles.orders import listener
from dicom_node.settings.settings import Settings
from tests.support.audit import kinds, trail
from tests.support.certificates import Authority
from tests.support.listeners import free_port, until
from tests.support.paths import ROOT


def changed(settings: Settings, section: str, **values: object) -> Settings:
    return settings.model_copy(
        update={section: getattr(settings, section).model_copy(update=values)}
    )


def words(settings: Settings) -> list[str]:
    details = [one.find(".//ParticipantObjectDetail") for one in trail(Path(settings.audit.file))]
    return [b64decode(one.get("value")).decode() for one in details if one is not None]


def test_an_hl7_caller_from_elsewhere(settings: Settings) -> None:
    settings = changed(settings, "orders", port=free_port(), callers=("192.0.2.1",))
    parts = node.open_parts(settings, migrate=True)
    listening = listener(parts)
    listening.start()
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", listening.port)) as caller:
            assert caller.recv(1) == b""
    listening.stop(1)
    parts.close()
    assert words(settings) == ["HL7 caller refused"]


def test_a_tls_handshake_that_fails(settings: Settings, tmp_path: Path) -> None:
    pair = Authority(tmp_path / "ca").issue("node")
    files = {"certificate": str(pair.certificate), "key": str(pair.key)}
    settings = changed(settings, "tls", mode="server", **files)
    parts = node.open_parts(settings, migrate=True)
    shake = parts.audit.guarded(secured_entry(settings))
    with (
        socket.create_server(("127.0.0.1", 0)) as door,
        socket.create_connection(door.getsockname()) as caller,
    ):
        caller.sendall(b"no TLS at all\r\n\r\n")
        connection, _ = door.accept()
        with connection, pytest.raises(OSError):
            shake(connection)
    parts.close()
    assert words(settings) == ["TLS handshake failed"]
    node_id = trail(Path(settings.audit.file))[0].find("ParticipantObjectIdentification")
    assert node_id.get("ParticipantObjectID") == "127.0.0.1"


def test_right_and_wrong_tokens(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("right")
    settings = changed(settings, "dicomweb", port=free_port(), token_file=str(tmp_path / "token"))
    parts = node.open_parts(settings, migrate=True)
    scp = server(parts)
    scp.start()
    link = HTTPConnection("127.0.0.1", scp.port, timeout=60)
    kind = 'multipart/related; type="application/dicom"; boundary=cut'
    for token, status in (("wrong", 401), ("right", 400), ("right", 400)):
        head = {"Content-Type": kind, "Authorization": f"Bearer {token}"}
        link.request("POST", "/studies", b"", head)
        assert link.getresponse().status == status
        link.close()
    scp.stop(1)
    parts.close()
    log = Path(settings.audit.file)
    assert kinds(log) == ["User Authentication / Login"] * 2
    outcomes = [one[0].get("EventOutcomeIndicator") for one in trail(log)]
    assert outcomes == ["8", "0"]
    assert "wrong" not in log.read_text()


def test_who_knocks_under_ever_new_names_fills_no_disk() -> None:
    now = [0.0]
    throttle = AlertThrottle(lambda: now[0])
    assert sum(throttle(f"STRANGER{number}", "unknown") for number in range(10_000)) == MOST_ALERTS
    now[0] = 61.0
    assert throttle("STRANGER0", "unknown")
    assert not throttle("STRANGER0", "unknown")


def test_a_writer_killed_at_any_moment_leaves_a_sound_chain(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    code = (
        "import sys; from pathlib import Path\n"
        "from dicom_node.audit.chain import Chain\n"
        "chain = Chain(Path(sys.argv[1]))\n"
        "while True: chain.append('x' * 3000); chain.flush()"
    )
    for _ in range(3):
        writer = subprocess.Popen([sys.executable, "-c", code, path], cwd=ROOT)
        size = path.stat().st_size if path.exists() else 0
        until(lambda: path.exists() and path.stat().st_size > size + 20_000, "lines", 30)  # noqa: B023 - called at once
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
    proof = verify(path)
    assert proof.lines > 15 and proof.anchored


def test_the_conformance_statement_says_what_is_audited(settings: Settings) -> None:
    assert "Security Alert" in repr(list(security(settings)))
    silent = changed(settings, "audit", file="")
    assert "not used: audit.file" in repr(list(security(silent)))
