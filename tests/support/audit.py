"""A syslog server, and a node whose trail is read."""

import re
import socketserver
import ssl
import threading
from base64 import b64decode
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest
from lxml import etree

from dicom_node.audit.chain import messages
from dicom_node.settings.settings import Settings, load_settings
from tests.support.listeners import free_port

FRAME = re.compile(rb"(\d+) ")


class SyslogServer:
    """Takes octet-counted frames over TCP or TLS (RFC 5425, RFC 6587)."""

    def __init__(self, port: int = 0, context: ssl.SSLContext | None = None) -> None:
        self.frames: list[bytes] = []
        server = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                got = self.rfile.read()
                while found := FRAME.match(got):
                    end = found.end() + int(found[1])
                    server.frames.append(got[found.end() : end])
                    got = got[end:]
                assert got == b""

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True

        self._server = Server(("127.0.0.1", port), Handler)
        if context is not None:
            listening = self._server.socket
            self._server.socket = context.wrap_socket(listening, server_side=True)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def trail(file: Path) -> list[etree._Element]:
    """Read every message of a log."""
    return [etree.fromstring(text) for _, _, text in messages(file, 0, 10_000)]


def kinds(file: Path) -> list[str]:
    """Name each message by event and type."""
    heads = [one.find("EventIdentification") for one in trail(file)]
    return [" / ".join(code.get("originalText") for code in head) for head in heads]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    config = tmp_path / "node.toml"
    config.write_text(f"""
[node]
host = "127.0.0.1"
port = {free_port()}
[receive]
min_free_gb = 0.1
[audit]
file = "trail/audit.log"
[[peers]]
name = "xray"
ae_title = "XRAY1"
host = "127.0.0.1"
[[routes]]
name = "chest"
""")
    return load_settings(config)


def told(settings: Settings) -> list[str]:
    """Say what was done, by whom."""
    found = []
    for one in trail(Path(settings.audit.file)):
        detail = one.find(".//ParticipantObjectDetail")
        user = next(
            u for u in one.findall("ActiveParticipant") if u.get("UserIsRequestor") == "true"
        )
        found.append(f"{user.get('UserID')}: {b64decode(detail.get('value')).decode()}")
    return found
