"""A small PACS and a small HL7 receiver for the demo."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined] # made at run time

from dicom_node.domain.work import derive_uid
from dicom_node.network.dimse.options import SOCKET_HANDLERS, prepare

START, END = b"\x0b", b"\x1c\r"


@dataclass
class SmallPacs:
    """Stores whatever it is sent, one file per instance, in `folder`."""

    folder: Path
    port: int = 0
    received: list[Path] = field(default_factory=list)

    def store(self, event: evt.Event) -> int:
        """Answer one C-STORE."""
        # a name of our own making: a sender's identifier is never a file name
        name = derive_uid(str(event.file_meta.MediaStorageSOPInstanceUID))
        path = self.folder / f"{name}.dcm"
        path.write_bytes(event.encoded_dataset())
        self.received.append(path)
        return 0x0000


@dataclass
class SmallRis:
    """Acknowledges every HL7 message with AA and keeps it."""

    port: int = 0
    messages: list[str] = field(default_factory=list)

    def handler(self) -> type[socketserver.StreamRequestHandler]:
        """Make the connection handler for `socketserver`."""
        ris = self

        class Connection(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                received = b""
                while chunk := self.connection.recv(65536):
                    received += chunk
                    while START in received and END in received:
                        message, _, received = received.partition(END)
                        self.request.sendall(ris.answer(message.partition(START)[2]))

        return Connection

    def answer(self, message: bytes) -> bytes:
        """Keep one message; returns the framed acknowledgement (HL7 2.9.2)."""
        text = message.decode("utf-8", "replace")
        self.messages.append(text)
        header = text.split("\r")[0].split("|")
        control_id = header[9] if len(header) > 9 else ""
        reply = (
            f"MSH|^~\\&|RIS|DEMO|CXRAI|DEMO|{header[6]}||ACK^R01^ACK|A{control_id[:19]}|P|2.5.1\r"
        )
        return START + f"{reply}MSA|AA|{control_id}\r".encode() + END


@contextmanager
def open_hospital(folder: Path) -> Iterator[tuple[SmallPacs, SmallRis]]:
    """Run both on loopback until the block ends."""
    prepare()
    folder.mkdir(parents=True)
    pacs, ris = SmallPacs(folder), SmallRis()
    ae = AE("DEMOPACS")
    ae.supported_contexts = AllStoragePresentationContexts
    ae.add_supported_context(Verification)
    handlers: list[Any] = [(evt.EVT_C_STORE, pacs.store), *SOCKET_HANDLERS]
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    if server is None:
        raise RuntimeError("pynetdicom gives a server unless told to block")
    pacs.port = server.server_address[1]
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), ris.handler()) as mllp:
        mllp.daemon_threads = True
        ris.port = mllp.server_address[1]
        threading.Thread(target=mllp.serve_forever, daemon=True).start()
        try:
            yield pacs, ris
        finally:
            mllp.shutdown()
            server.shutdown()
