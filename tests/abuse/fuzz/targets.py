"""What bytes from outside reach, each as a function that may only refuse.

A target takes any bytes. Of exceptions it lets out those that its callers do not
expect: each is a finding.
"""

import os
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from email.message import Message as Headers
from io import BytesIO
from pathlib import Path

from pynetdicom.pdu import A_ASSOCIATE_AC

from dicom_node.domain.errors import BadSettings, GiveUp, NotAnalysable, Refused, TryAgain
from dicom_node.domain.exchange.orders import Fault, MessageRefused
from dicom_node.domain.reception import Caller
from dicom_node.formats.dicom.pixels.radiograph import read_radiograph
from dicom_node.formats.hl7.segments import envelope_of
from dicom_node.network.dicomweb.request import HeadRefused, bearer, judge_head
from dicom_node.network.dicomweb.store import refuse_unsupported, store_request
from dicom_node.network.dimse.messages import BrokenMessage, MessageReader, encode_response
from dicom_node.network.dimse.options import IMAGE_SYNTAXES
from dicom_node.network.dimse.peer_answer import understood
from dicom_node.network.dimse.scp import SERVED
from dicom_node.network.dimse.upper_layer.connection import (
    Connection,
    Data,
    ReleaseRequested,
    Requested,
)
from dicom_node.network.dimse.upper_layer.negotiation import judge_request, negotiate
from dicom_node.network.dimse.upper_layer.pdu import (
    HEAD_BYTES,
    MOST_CONTEXTS,
    PDUError,
    UserInformation,
    decode_accept,
    encode_accept,
)
from dicom_node.network.hl7.acknowledgement import acknowledgement
from dicom_node.network.hl7.mllp import (
    Unframer,
    frame,
    judge_acknowledgement,
    parse_acknowledgement,
)
from dicom_node.network.hl7.orders import parse
from dicom_node.network.http.body import Body, chunked
from dicom_node.network.http.multipart import Malformed, TooLarge, parts
from dicom_node.settings.settings import load_settings
from tests.abuse.fuzz import seeds
from tests.support.headers import describe_bytes

MEMORY_FOLDER = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - scratch
SMALL = 1 << 20


@dataclass(frozen=True)
class Target:
    """One way in, what it is fed at first, and what its format is made of."""

    name: str
    feed: Callable[[bytes], None]
    seeds: Callable[[], Sequence[bytes]]
    tokens: tuple[bytes, ...] = ()


def header(content: bytes) -> None:
    """Describe a data set in the transfer syntax that the first byte chooses."""
    syntax = IMAGE_SYNTAXES[content[0] % len(IMAGE_SYNTAXES)] if content else IMAGE_SYNTAXES[0]
    with suppress(NotAnalysable):
        instance = describe_bytes(content[1:], str(syntax))
        assert max(map(len, (instance.patient_id, instance.study_uid))) <= 1 << 14
        assert max(map(abs, (instance.rows, instance.frames, instance.bits_stored))) < 1 << 63


def image(content: bytes) -> None:
    """Read a Part 10 file to the radiograph that a pipeline would see."""
    with tempfile.NamedTemporaryFile(dir=MEMORY_FOLDER) as file:
        file.write(content)
        file.flush()
        with suppress(NotAnalysable):
            _, radiograph = read_radiograph(Path(file.name))
            low, high = radiograph.pixels.min(), radiograph.pixels.max()
            assert low >= 0 and high <= 1, (low, high)


def association(content: bytes) -> None:
    """Take a connection from its first byte on, accept it, and answer its messages."""
    connection, reader = Connection(), MessageReader()
    for piece in content.split(b"CUT!"):
        for event in connection.receive(memoryview(piece)):
            if isinstance(event, Requested) and judge_request(event.request, "CXRAI") is None:
                accept, agreed = negotiate(event.request, SERVED, UserInformation(16384))
                decode_accept(connection.accept(accept)[HEAD_BYTES:])
                assert len(agreed) <= MOST_CONTEXTS
            elif isinstance(event, Requested):
                connection.reject(1, 1, 7)
            elif isinstance(event, ReleaseRequested):
                connection.release()
            elif isinstance(event, Data):
                try:
                    message = reader.add(event)
                except BrokenMessage:
                    connection.abort()
                    return
                if message is not None:
                    encode_response(message, 0)


def peers_answer(content: bytes) -> None:
    """Make what a peer answers to an association request fit for pynetdicom."""
    with suppress(PDUError):
        pdu = A_ASSOCIATE_AC()
        pdu.decode(encode_accept(understood(decode_accept(content))))
        pdu.to_primitive()


def hl7_answer(content: bytes) -> None:
    """Judge what an HL7 receiver answers to a result."""
    with suppress(TryAgain, GiveUp):
        for message in Unframer().feed(content):
            judge_acknowledgement(parse_acknowledgement(message))


def order(content: bytes) -> None:
    """Hear an order and write its acknowledgement."""
    with suppress(ValueError):
        envelope = envelope_of(content)
        fault: Fault | None = None
        try:
            parse(content, envelope)
        except MessageRefused as refusal:
            fault = refusal.fault
        reply = acknowledgement(envelope, fault, 1.0)
        with suppress(GiveUp):
            frame(reply or b"-")


def stow(content: bytes) -> None:
    """Cut a STOW-RS body in chunks or as it is, and read the parts' file meta."""
    file = BytesIO(content)
    body = Body(chunked(file) if content[:1].isdigit() else file.read, SMALL)
    with suppress(Malformed, TooLarge):
        for part in parts(body.read, seeds.BOUNDARY, SMALL):
            with suppress(Refused):
                refuse_unsupported(store_request(part.content, Caller("A", "B", "127.0.0.1")))


def stow_head(content: bytes) -> None:
    """Judge the path and headers of a STOW-RS request."""
    path, *lines = content.decode("latin-1").replace("\r", "").split("\n")
    headers = Headers()
    for line in lines:
        name, _, value = line.partition(":")
        headers[name] = value.strip()
    with suppress(HeadRefused):
        bearer(headers)
        judge_head(path, headers, SMALL)


def settings(content: bytes) -> None:
    """Load a configuration file."""
    with tempfile.NamedTemporaryFile(dir=MEMORY_FOLDER, suffix=".toml") as file:
        file.write(content)
        file.flush()
        with suppress(BadSettings):
            load_settings(Path(file.name))


_PDUS: tuple[bytes, ...] = (
    b"CUT!",
    b"\x50\0\0\x08",
    b"\x51\0\0\4",
    b"\x54\0\0\5\0\1",
    b"\x20\0\0\x04\1\0\0\0",
    b"\4\0\0\0\0\x0c\0\0\0\x08\1\3",
)
_DICOM: tuple[bytes, ...] = (
    b"SQ\0\0\xff\xff\xff\xff",
    b"\xfe\xff\x00\xe0",
    b"\xfe\xff\x0d\xe0",
    b"\xfe\xff\xdd\xe0",
)
_DICOM += (b"\xff\xff\xff\xff", b"UN\0\0", b"\xe0\x7f\x10\x00", b"\x28\x00\x10\x00US\x02\x00")
_CODED: tuple[bytes, ...] = (
    b"\xff\xd8",
    b"\xff\xd9",
    b"\xff\xc0",
    b"\xff\xc3",
    b"\xff\xc4",
    b"\xff\xda",
    b"\xff\xf7",
)
_CODED += (b"\xff\xf8", b"\xff\x4f\xff\x51", b"\xff\x52", b"\xff\x53", b"\xff\x5c", b"\xff\x90")
_HL7: tuple[bytes, ...] = (
    b"\x0b",
    b"\x1c\r",
    b"\rMSA|",
    b"\rERR|",
    b"\rPID|",
    b"\rZDS|",
    b"\rMRG|",
    b"^",
    b"~",
    b"&",
)
_HL7 += (b"\\F\\", b"\\X", b"MSH|^~\\&|", b'""', b"|8859/1|", b"ORM^O01")
_HTTP: tuple[bytes, ...] = (
    b"\r\n--",
    b"--\r\n",
    b"\r\n\r\n",
    b"0\r\n",
    b"fffffffff\r\n",
    b"Content-Length: 1\n",
)
_HTTP += (b"Transfer-Encoding: chunked\n", b"boundary*0=", b"charset*=x''")
_TOML: tuple[bytes, ...] = (
    b"[[",
    b"]]",
    b"=",
    b'"""',
    b"nan",
    b"inf",
    b"1e999",
    b"9" * 30,
    b"true",
    b"_env_file = 'x'",
)
_TOML += (b"[[routes]]\n", b"[[peers]]\n", b"\\u0000", b"[[[[[[", b"{a={", b"1979-05-27")

TARGETS = (
    Target("header", header, seeds.data_sets, _DICOM),
    Target("image", image, seeds.files, _DICOM + _CODED),
    Target("association", association, seeds.associations, _PDUS),
    Target("peers-answer", peers_answer, seeds.accepts, _PDUS),
    Target("hl7-answer", hl7_answer, seeds.acknowledgements, _HL7),
    Target("order", order, seeds.orders, _HL7),
    Target("stow", stow, seeds.bodies, _HTTP),
    Target("stow-head", stow_head, seeds.heads, _HTTP),
    Target("settings", settings, seeds.configurations, _TOML),
)
