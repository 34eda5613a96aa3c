"""HTTP callers that flood, dawdle or lie; the server serves the next one at once."""

import itertools
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from dicom_node.assembly import parts as node
from dicom_node.network.dicomweb import scp as dicomweb_scp
from dicom_node.roles.dicomweb import server
from dicom_node.settings.settings import load_settings
from tests.support.gauge import ALLOWED, held, unharmed
from tests.support.listeners import free_port
from tests.support.stow_callers import BOUNDARY, TYPE, StowNode, image, multipart

CONFIGURATION = """\
[receive]
min_free_gb = 0
[dicomweb]
port = {port}
max_object_mb = 1
max_request_mb = 3
max_requests = 2
[[peers]]
name = "xray"
ae_title = "XRAY1"
host = "127.0.0.1"
"""
HEAD = f"POST /studies HTTP/1.1\r\nHost: x\r\nContent-Type: {TYPE}\r\n"
CHUNKED = f"{HEAD}Transfer-Encoding: chunked\r\n\r\n".encode()
PART = f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
_numbers = itertools.count(1)


@pytest.fixture
def stow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StowNode]:
    for name in ("IDLE_S", "HEAD_S", "BODY_S"):
        monkeypatch.setattr(dicomweb_scp, name, 1.0)
    monkeypatch.setattr(dicomweb_scp, "LINGER_S", 0.1)
    config = tmp_path / "node.toml"
    config.write_text(CONFIGURATION.format(port=free_port()))
    parts = node.open_parts(load_settings(config), migrate=True)
    scp = server(parts)
    scp.start()
    yield StowNode(scp, parts.engine, tmp_path)
    scp.stop(5)
    parts.close()


def serving(stow: StowNode) -> Callable[[], None]:
    def serve() -> None:
        status = stow.post(multipart([image(f"1.2.3.{next(_numbers)}")]))[0]
        assert status == 200

    return serve


def answered(link: socket.socket, *sent: bytes) -> bytes:
    """Send, and give what the server says until it hangs up."""
    said = b""
    with suppress(OSError):
        for one in sent:
            link.sendall(one)
    with suppress(OSError):
        while more := link.recv(65536):
            said += more
    return said


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ((HEAD.encode() + b"X: " + b"x" * 200_000 + b"\r\n\r\n",), b"431"),
        ((HEAD.encode() + b"X: x\r\n" * 5000 + b"\r\n",), b"431"),
        ((b"POST /" + b"x" * 200_000 + b" HTTP/1.1\r\n\r\n",), b"414"),
        ((CHUNKED + b"ffffffff\r\n" + PART, *[bytes(1 << 20)] * 8), b"413"),
        ((CHUNKED + b"200000\r\n" + PART, *[bytes(1 << 19)] * 4), b"413"),
        ((CHUNKED + b"zz\r\n",), b"400"),
        ((CHUNKED + b"5\r\nhello\r\n0\r\n" + b"X: y\r\n" * 200_000,), b"4"),
        ((f"{HEAD}Content-Length: 900\r\n\r\n".encode() + PART,), b"408"),
        ((b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",), b""),
        ((b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",), b""),
    ],
    ids=["line", "headers", "path", "huge", "object", "chunks", "trailers", "slow", "tls", "h2"],
)
def test_requests_that_ask_for_too_much(
    stow: StowNode, sent: tuple[bytes, ...], status: bytes
) -> None:
    with unharmed(serving(stow)) as before, stow.connect() as link:
        said = answered(link, *sent)
        assert not said or b" " + status in said.split(b"\r\n")[0], said[:200]
        assert held().memory < before.memory + ALLOWED


def test_half_open_connections_make_room_again(stow: StowNode) -> None:
    with unharmed(serving(stow)), ExitStack() as stack:
        links = [stack.enter_context(stow.connect()) for _ in range(40)]
        assert all(answered(link) == b"" for link in links)


def test_thousands_of_parts(stow: StowNode) -> None:
    body = multipart([b"x"] * 10_100)
    with unharmed(serving(stow)):
        assert stow.post(body)[0] in (409, 413)
