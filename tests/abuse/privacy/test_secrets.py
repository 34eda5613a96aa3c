"""No secret in any output: marked ones, through all that fails."""

import http.client
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import structlog

from dicom_node.commands import cli
from dicom_node.process.logs import start_logs
from dicom_node.roles import dicomweb, receive
from dicom_node.settings.settings import Settings, load_settings
from tests.support.certificates import Authority
from tests.support.listeners import free_port

MARK = "hunter2Marked"
CONFIGURATION = """
[node]
host = "127.0.0.1"
port = {ports[0]}
[receive]
min_free_gb = 0
[inference]
gate = ""
[pipelines]
[tls]
mode = "mutual"
certificate = "{pair.certificate}"
key = "{pair.key}"
key_password_file = "key-password"
ca = "{ca}"
port = {ports[1]}
[dicomweb]
port = {ports[2]}
token_file = "token"
[[peers]]
name = "pacs"
ae_title = "PACS"
host = "127.0.0.1"
port = 9
tls = true
[[stow]]
name = "cloud"
url = "http://127.0.0.1:9"
token_file = "token"
[[stow]]
name = "other"
url = "https://127.0.0.1:9"
token_env = "OTHER_TOKEN"
[[routes]]
name = "chest"
pipelines = []
send_to = ["pacs", "cloud", "other"]
"""
URLS = (
    "postgresql+psycopg://user:{mark}@127.0.0.1:9/db",
    "postgresql+psycopg://user:{mark}@127.0.0.1:port/db",
    "postgresql+psycopg://user:a@{mark}@127.0.0.1:9/db",
    "postgresql+psycopg://user:a/{mark}@127.0.0.1:9/db",
    "postgresql+psycopg://user:a b#{mark}@127.0.0.1:9/db?no_such_option=1",
    "mysql://user:{mark}@127.0.0.1:9/db",
    "nonsense {mark}",
)
COMMANDS = (("check",), ("status",), ("status", "--json"), ("callers",), ("migrate",), ("receive",))


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    logging.getLogger().handlers.clear()


@pytest.fixture
def config(tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Path:
    pair = authority.issue("locked", password=MARK)
    for name in ("key-password", "token"):
        (tmp_path / name).write_text(MARK)
    monkeypatch.setenv("OTHER_TOKEN", MARK)
    path = tmp_path / "node.toml"
    ports = [free_port() for _ in range(3)]
    path.write_text(CONFIGURATION.format(pair=pair, ca=authority.ca, ports=ports))
    return path


@pytest.mark.parametrize("url", URLS)
def test_the_password_of_a_database_that_is_away(
    config: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], url: str
) -> None:
    monkeypatch.setenv("DICOM_NODE__DATABASE__URL", url.format(mark=MARK))
    for name, *more in COMMANDS:
        assert cli.main([name, "-c", str(config), *more]) != 0
    said = "".join(capfd.readouterr())
    assert said.count("database") >= len(COMMANDS)
    assert MARK not in said


def test_tokens_and_the_password_of_the_key(
    config: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["migrate", "-c", str(config)]) == 0
    assert cli.main(["check", "-c", str(config)]) == 1  # no destination answers
    for command in COMMANDS[1:4]:
        assert cli.main([command[0], "-c", str(config), *command[1:]]) == 0
    settings = load_settings(config)
    start_logs("json", "debug", "test")
    with running(receive.run, settings), running(dicomweb.run, settings):
        assert ask(settings.dicomweb.port, "wrong") == 401
        assert ask(settings.dicomweb.port, MARK) == 400
        knock(settings.tls.port)
    # what fails next, when the key is no longer right
    Path(settings.tls.key_password_file).write_text(f"no longer {MARK}")
    assert cli.main(["receive", "-c", str(config)]) == 2
    said = "".join(capfd.readouterr())
    for sign in ("cloud", "scp_started", "tls_handshake_failed", "tls.key_password_file"):
        assert sign in said
    assert MARK not in said


@contextmanager
def running(
    role: Callable[[Settings, threading.Event], None], settings: Settings
) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=role, args=(settings, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)


def dial(port: int) -> socket.socket:
    """Connect; waits for the role to start."""
    give_up_at = time.monotonic() + 15
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), 5)
        except ConnectionRefusedError:
            assert time.monotonic() < give_up_at
            time.sleep(0.05)


def ask(port: int, token: str) -> int:
    """Send nonsense with a token."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.sock = dial(port)
    head = {"Authorization": f"Bearer {token}", "Content-Type": "multipart/related"}
    with closing(connection):
        connection.request("POST", "/studies", MARK.encode(), head)
        return connection.getresponse().status


def knock(port: int) -> None:
    """Shake hands without a certificate, with the secret as the server's name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        dial(port) as plain,
        pytest.raises(OSError),
        context.wrap_socket(plain, server_hostname=MARK) as secured,
    ):
        secured.sendall(b"x")
        secured.recv(1)
