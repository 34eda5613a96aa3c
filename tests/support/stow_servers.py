"""A DICOMweb server that answers as a test says, and batches to send to it."""

import json
import ssl
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from dicom_node.domain.exchange.destinations import StowDestination
from dicom_node.domain.work import Delivery, DeliveryBatch, StoredFile
from tests.support.dimse_peers import SEG, make_object

STUDY = "1.2.3"
Answer = tuple[int, str, bytes]
"""Status, media type and content."""


@dataclass
class Request:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    parts: list[bytes]

    @property
    def uids(self) -> list[str]:
        """The SOP Instance UIDs of the objects that `batch` made."""
        return [name for part in self.parts for name in UIDS if name.encode() + b"\0" in part]


UIDS = ("2.25.11", "2.25.12", "2.25.13")


@dataclass
class StowServer:
    """Answers each POST by a function of the request; GETs get `probe`."""

    answer: Callable[[Request], Answer]
    probe: int = 200
    tls: tuple[Path, Path] | None = None
    """Certificate and key."""
    requests: list[Request] = field(default_factory=list)
    address: str = ""

    def __enter__(self) -> Self:
        ours = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                ours.requests.append(Request(self.path, dict(self.headers), []))
                self._send((ours.probe, "text/plain", b""))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
                message: Any = message_from_bytes(head + body)
                parts = [part.get_payload(decode=True) for part in message.get_payload()]
                request = Request(self.path, dict(self.headers), parts)
                ours.requests.append(request)
                self._send(ours.answer(request))

            def _send(self, answer: Answer) -> None:
                self.send_response(answer[0])
                self.send_header("Content-Type", answer[1])
                self.send_header("Content-Length", str(len(answer[2])))
                if 300 <= answer[0] < 400:
                    self.send_header("Location", "/elsewhere")
                self.end_headers()
                with suppress(ConnectionError):  # a client that had enough
                    self.wfile.write(answer[2])

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base's name
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if self.tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self.tls)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *ended: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def destination(self, **more: Any) -> StowDestination:  # noqa: ANN401 - keys of the dataclass
        scheme = "http" if self.tls is None else "https"
        return StowDestination("cloud", f"{scheme}://{self.address}/dicom-web", **more)


def always(status: int, content: bytes = b"", media: str = "text/plain") -> StowServer:
    """A server with one answer."""
    return StowServer(lambda request: (status, media, content))


def answer_json(
    stored: Sequence[str | tuple[str, int]] = (), failed: Sequence[tuple[str, int]] = ()
) -> bytes:
    """The content of an answer in DICOM JSON (PS3.18 table 10.5.3-2)."""
    ds: dict[str, object] = {"00081190": {"vr": "UR", "Value": ["http://x/studies/1"]}}
    pairs = [(one, 0) if isinstance(one, str) else one for one in stored]
    for tag, reason, items in (("00081199", "00081196", pairs), ("00081198", "00081197", failed)):
        if items:
            ds[tag] = {"vr": "SQ", "Value": [_item(uid, reason, code) for uid, code in items]}
    return json.dumps(ds).encode()


def _item(uid: str, reason: str, code: int) -> dict[str, object]:
    item: dict[str, object] = {
        "00081150": {"vr": "UI", "Value": [SEG]},
        "00081155": {"vr": "UI", "Value": [uid]},
    }
    return item | ({reason: {"vr": "US", "Value": [code]}} if code else {})


def batch(folder: Path, uids: Sequence[str] = UIDS) -> DeliveryBatch:
    """Objects of one study; the key of each file is its name in `folder`."""
    deliveries = []
    for number, uid in enumerate(uids, 1):
        size = make_object(folder / uid, SEG, uid).size
        file = StoredFile(uid, "", size)
        deliveries.append(Delivery(number, "cloud", "stow", 1, "seg", SEG, uid, STUDY, file))
    return DeliveryBatch("cloud", "stow", tuple(deliveries), "w", 0.0)
