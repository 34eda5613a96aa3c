"""Objects to send, and SCPs that behave as a test wants."""

import socket
import socketserver
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import decode, encode_file_meta
from pynetdicom.events import Event
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.presentation import build_context
from pynetdicom.transport import ThreadedAssociationServer

from dicom_node.domain.study import Peer
from dicom_node.network.dimse.association import Target
from dicom_node.network.dimse.options import SOCKET_HANDLERS, Timeouts
from dicom_node.network.dimse.scu import Outgoing, outgoing
from tests.support.listeners import Storescp

PROFILE = """
[[TransferSyntaxes]]
[Taken]
TransferSyntax1 = {syntax}
[[PresentationContexts]]
[Some]
{contexts}
[[Profiles]]
[Restricted]
PresentationContexts = Some
"""
SEG = "1.2.840.10008.5.1.4.1.1.66.4"
SR = "1.2.840.10008.5.1.4.1.1.88.33"
SC = "1.2.840.10008.5.1.4.1.1.7"
NATIVE = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)


def make_object(
    path: Path, sop_class: str = SEG, uid: str = "1.2.3.1", syntax: str = ExplicitVRLittleEndian
) -> Outgoing:
    """Write a small object with elements whose encoding differs between syntaxes."""
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, uid
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.3", "1.2.3.0"
    ds.PatientName, ds.PatientID = "M\xfcller^Anna", "4711"
    ds.Rows, ds.Columns, ds.PixelSpacing = 2, 3, [0.5, 0.5]
    ds.BitsAllocated, ds.PixelRepresentation, ds.SamplesPerPixel = 16, 0, 1
    ds.ReferencedSeriesSequence = [Dataset()]
    ds.ReferencedSeriesSequence[0].SeriesInstanceUID = "1.2.3.9"
    ds.PixelData = bytes(range(12))
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = UID(syntax)
    ds.save_as(path, enforce_file_format=True)
    return outgoing(path)


def wrap(path: Path, content: bytes, syntax: str) -> Outgoing:
    """Write a Part 10 file around any data set bytes."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = UID(SEG), UID("1.2.3.1")
    meta.TransferSyntaxUID = UID(syntax)
    path.write_bytes(bytes(128) + b"DICM" + encode_file_meta(meta) + content)
    return outgoing(path)


def uid_of(event: Event) -> str:
    """Give the SOP Instance UID of a C-STORE request."""
    assert isinstance(event.request, C_STORE)
    return str(event.request.AffectedSOPInstanceUID)


@dataclass
class Scp:
    """A running SCP and what it saw."""

    target: Target
    associations: int = 0
    raw: list[bytes] = field(default_factory=list)
    syntaxes: list[UID] = field(default_factory=list)

    def decoded(self) -> list[Dataset]:
        """Give the received data sets by a decoder that is not the sender's."""
        return [
            decode(BytesIO(raw), one.is_implicit_VR, one.is_little_endian, one.is_deflated)
            for raw, one in zip(self.raw, self.syntaxes, strict=True)
        ]


@contextmanager
def running_scp(
    answer: Callable[[Event], int | Dataset] = lambda event: 0x0000,
    classes: Sequence[str] = (SEG, SR, SC),
    syntaxes: Sequence[str] = NATIVE,
    prepare_ae: Callable[[AE], None] = lambda ae: None,
    extra: Sequence[tuple[evt.NotificationEvent, Callable[[Event], None]]] = (),
) -> Iterator[Scp]:
    """Run a pynetdicom SCP that answers each C-STORE as `answer` says."""
    ae = AE("PEER")
    ae.supported_contexts = [build_context(one, list(syntaxes)) for one in classes]
    ae.add_supported_context("1.2.840.10008.1.1")
    ae.network_timeout = 20
    prepare_ae(ae)
    scp = Scp(Target(Peer("pacs", "PEER", "127.0.0.1", 1), "NODE"))

    def store(event: Event) -> int | Dataset:
        assert isinstance(event.request, C_STORE)
        assert event.request.DataSet is not None
        scp.raw.append(event.request.DataSet.getvalue())
        scp.syntaxes.append(event.context.transfer_syntax)
        return answer(event)

    def count(event: Event) -> None:
        scp.associations += 1

    handlers = [
        *SOCKET_HANDLERS,
        (evt.EVT_C_STORE, store),
        (evt.EVT_ACCEPTED, count),
        *extra,
    ]
    server = ae.make_server(
        ("127.0.0.1", 0), evt_handlers=handlers, server_class=ThreadedAssociationServer
    )
    ae._servers.append(server)  # as start_server does, whose poll makes shutdown take 0.5 s
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    port = int(server.server_address[1])
    scp.target = Target(
        Peer("pacs", "PEER", "127.0.0.1", port), "NODE", Timeouts(2, 2, 2, network_s=2)
    )
    try:
        yield scp
    finally:
        server.shutdown()


@contextmanager
def raw_peer(behave: Callable[[socket.socket], None], timeouts: Timeouts) -> Iterator[Target]:
    """Run a peer that does with each connection what `behave` says."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            behave(self.request)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield Target(Peer("pacs", "PEER", "127.0.0.1", server.server_address[1]), "N", timeouts)
        finally:
            server.shutdown()


def accept_all(connection: socket.socket) -> None:
    """Read an A-ASSOCIATE-RQ and accept every context with its first syntax."""
    head = connection.recv(6, socket.MSG_WAITALL)
    body = connection.recv(int.from_bytes(head[2:6], "big"), socket.MSG_WAITALL)
    request = A_ASSOCIATE_RQ()
    request.decode(head + body)
    asked = request.to_primitive()
    reply = A_ASSOCIATE()
    reply.application_context_name = asked.application_context_name
    reply.calling_ae_title, reply.called_ae_title = asked.calling_ae_title, asked.called_ae_title
    reply.result, reply.result_source = 0, 1
    reply.user_information = asked.user_information
    contexts = asked.presentation_context_definition_list
    for context in contexts:
        context.result, context.transfer_syntax = 0, [context.transfer_syntax[0]]
    reply.presentation_context_definition_results_list = contexts
    accepted = A_ASSOCIATE_AC()
    accepted.from_primitive(reply)
    connection.sendall(accepted.encode())


def restricted(folder: Path, *classes: str, syntax: str = "LittleEndianExplicit") -> Storescp:
    """A storescp that takes these SOP classes in this transfer syntax alone."""
    lines = [f"PresentationContext{n} = {uid}\\Taken" for n, uid in enumerate(classes, start=1)]
    profile = folder / "peer.cfg"
    profile.write_text(PROFILE.format(syntax=syntax, contexts="\n".join(lines)))
    return Storescp(folder / "peer", "-xf", str(profile), "Restricted", ae_title="PACS")
