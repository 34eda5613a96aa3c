"""A DIMSE client that sends exactly the bytes it is told to.

Written from PS3.7 and PS3.8, without the node's code, so that it can send what a
decent SCU refuses to send.
"""

import socket
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

CR = "1.2.840.10008.5.1.4.1.1.1"
DX = "1.2.840.10008.5.1.4.1.1.1.1"
DX_FOR_PROCESSING = "1.2.840.10008.5.1.4.1.1.1.1.1"
SC = "1.2.840.10008.5.1.4.1.1.7"
VERIFICATION = "1.2.840.10008.1.1"
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"

ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA, RELEASE_RP, ABORT = 2, 3, 4, 6, 7


@dataclass(frozen=True)
class Response:
    """A response command set."""

    values: dict[int, bytes]

    @property
    def status(self) -> int:
        return int.from_bytes(self.values[0x0900], "little")

    @property
    def comment(self) -> str:
        return self.values.get(0x0902, b"").decode("ascii").rstrip(" ")

    @property
    def sop_instance_uid(self) -> str:
        return self.values.get(0x1000, b"").decode("latin-1").rstrip("\0")


class Closed(Exception):
    """The peer closed the connection, or aborted (then args hold the PDU)."""


@dataclass
class RawSCU:
    """One association; contexts get the odd numbers from 1 in the order given."""

    port: int
    contexts: Sequence[tuple[str, Sequence[str]]] = ((CR, (EXPLICIT,)),)
    calling: bytes = b"XRAY1"
    called: bytes = b"CXRAI"
    accepted: dict[int, int] = field(default_factory=dict)
    """Result by context ID; 0 is acceptance."""
    wrap: Callable[[socket.socket], socket.socket] = lambda plain: plain
    """Puts TLS around the connection."""
    source: str = "127.0.0.1"
    """The address that it calls from; all of 127.0.0.0/8 is this machine."""

    def __enter__(self) -> Self:
        address, source = ("127.0.0.1", self.port), (self.source, 0)
        self.socket = self.wrap(socket.create_connection(address, 10, source))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(associate_rq(self.contexts, self.calling, self.called))
        kind, body = self.read_pdu()
        self.answer = (kind, body)
        if kind == ASSOCIATE_AC:
            self.accepted = _results(body)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.socket.close()

    @property
    def rejection(self) -> tuple[int, int, int]:
        """Result, source and reason of an A-ASSOCIATE-RJ."""
        assert self.answer[0] == ASSOCIATE_RJ, self.answer
        return (self.answer[1][1], self.answer[1][2], self.answer[1][3])

    def store(
        self,
        data_set: bytes,
        sop_class: str = CR,
        sop_instance: str = "1.2.3",
        *,
        context: int = 1,
        pdu_size: int = 16384,
    ) -> Response:
        """Send a C-STORE request and read the response."""
        elements = {
            0x0002: uid(sop_class),
            0x0100: us(0x0001),
            0x0110: us(7),
            0x0700: us(0),
            0x0800: us(0),
            0x1000: uid(sop_instance),
        }
        return self.request(elements, data_set, context=context, pdu_size=pdu_size)

    def echo(self, context: int = 1) -> int:
        """Send a C-ECHO request (any context will do) and give the status."""
        elements = {0x0002: uid(VERIFICATION), 0x0100: us(0x30), 0x0110: us(9), 0x0800: us(0x101)}
        return self.request(elements, None, context=context).status

    def request(
        self,
        elements: dict[int, bytes],
        data_set: bytes | None,
        *,
        context: int = 1,
        pdu_size: int = 16384,
    ) -> Response:
        """Send any message and read one response."""
        self.send(message_pdus(elements, data_set, context, pdu_size))
        return self.read_response()

    def send(self, pdus: Iterable[bytes]) -> None:
        self.socket.sendall(b"".join(pdus))

    def read_response(self) -> Response:
        kind, body = self.read_pdu()
        if kind != P_DATA:
            raise Closed(kind, body)
        command = body[6:]  # one PDV: length, context ID, control header
        return Response(dict(_elements(command)))

    def release(self) -> bool:
        self.socket.sendall(pdu(5, bytes(4)))
        return self.read_pdu()[0] == RELEASE_RP

    def read_pdu(self) -> tuple[int, bytes]:
        head = self._read(6)
        return head[0], self._read(struct.unpack(">L", head[2:])[0])

    def _read(self, size: int) -> bytes:
        received = b""
        while len(received) < size:
            try:
                chunk = self.socket.recv(size - len(received))
            except ConnectionResetError:
                chunk = b""
            if not chunk:
                raise Closed
            received += chunk
        return received


def pdu(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBL", kind, 0, len(body)) + body


def pdv(context: int, control: int, fragment: bytes) -> bytes:
    return struct.pack(">LBB", len(fragment) + 2, context, control) + fragment


def uid(text: str) -> bytes:
    encoded = text.encode("latin-1")
    return encoded + b"\0" * (len(encoded) % 2)


def us(value: int) -> bytes:
    return struct.pack("<H", value)


def command_set(elements: dict[int, bytes]) -> bytes:
    encoded = b"".join(
        struct.pack("<HHL", 0, number, len(value)) + value for number, value in elements.items()
    )
    return struct.pack("<HHLL", 0, 0, 4, len(encoded)) + encoded


def message_pdus(
    elements: dict[int, bytes], data_set: bytes | None, context: int, pdu_size: int
) -> list[bytes]:
    pdus = [pdu(P_DATA, pdv(context, 3, command_set(elements)))]
    size = pdu_size - 6
    starts = range(0, len(data_set), size) if data_set else ()
    for start in starts:
        control = 2 if start + size >= len(data_set or b"") else 0
        pdus.append(pdu(P_DATA, pdv(context, control, (data_set or b"")[start : start + size])))
    return pdus


def associate_rq(
    contexts: Sequence[tuple[str, Sequence[str]]], calling: bytes, called: bytes
) -> bytes:
    """Encode an A-ASSOCIATE-RQ (PS3.8 9.3.2)."""
    body = struct.pack(">HH", 1, 0) + called.ljust(16) + calling.ljust(16) + bytes(32)
    body += _item(0x10, b"1.2.840.10008.3.1.1.1")
    for index, (abstract, transfers) in enumerate(contexts):
        sub = _item(0x30, abstract.encode())
        sub += b"".join(_item(0x40, transfer.encode()) for transfer in transfers)
        body += _item(0x20, bytes([2 * index + 1, 0, 0, 0]) + sub)
    body += _item(0x50, _item(0x51, struct.pack(">L", 16384)) + _item(0x52, b"1.2.3.4"))
    return pdu(1, body)


def _item(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(body)) + body


def _results(body: bytes) -> dict[int, int]:
    """Read the presentation context results of an A-ASSOCIATE-AC (PS3.8 9.3.3)."""
    results = {}
    offset = 68
    while offset < len(body):
        kind, _, length = struct.unpack_from(">BBH", body, offset)
        if kind == 0x21:
            results[body[offset + 4]] = body[offset + 6]
        offset += 4 + length
    return results


def _elements(command: bytes) -> Iterable[tuple[int, bytes]]:
    offset = 0
    while offset < len(command):
        _, number, length = struct.unpack_from("<HHL", command, offset)
        yield number, command[offset + 8 : offset + 8 + length]
        offset += 8 + length
