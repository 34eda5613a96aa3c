"""A peer's answer that pynetdicom alone would end an association for (PS3.8 annex D.2)."""

import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from dicom_node.domain.errors import TryAgain
from dicom_node.network.dimse.options import Timeouts, prepare
from dicom_node.network.dimse.peer_answer import AnswerGuard, understood
from dicom_node.network.dimse.scu import echo, store
from dicom_node.network.dimse.upper_layer.pdu import (
    AssociateAccept,
    ContextResult,
    Role,
    UserInformation,
    decode_accept,
    encode_accept,
)
from tests.support.dimse_peers import make_object, raw_peer
from tests.support.raw_scu import IMPLICIT, command_set, pdu, pdv, us

TITLE = b"PEER".ljust(16)
LIMITS = Timeouts(connect_s=5, acse_s=5, dimse_s=5, network_s=5)
PLAIN = struct.pack(">BBHL", 0x51, 0, 4, 16384)


@pytest.fixture(autouse=True)
def _prepared() -> None:
    prepare()


def item(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(body)) + body


def answering(user: bytes, syntax: bytes, titles: bytes, connection: socket.socket) -> None:
    """Accept every context, with the given user information, and each request after it."""
    kind, body = read_pdu(connection)
    assert kind == 1
    answer = body[:4] + titles + bytes(32) + item(0x10, b"1.2.840.10008.3.1.1.1")
    for context_id in proposed(body):
        answer += item(0x21, bytes([context_id, 0, 0, 0]) + item(0x40, syntax))
    connection.sendall(pdu(2, answer + item(0x50, user)))
    command: dict[int, bytes] = {}
    with suppress(OSError, struct.error):
        while True:
            kind, body = read_pdu(connection)
            if kind != 4:
                connection.sendall(pdu(6, bytes(4)))
                return
            if body[5] & 1:
                command = dict(elements(body[6:]))
            if body[5] & 2 and (not body[5] & 1 or command[0x0800] == us(0x101)):
                field = int.from_bytes(command[0x0100], "little") | 0x8000
                said = {0x0100: us(field), 0x0120: command[0x0110], 0x0800: us(0x101)}
                said |= {0x0900: us(0), 0x0002: command[0x0002]}
                if 0x1000 in command:
                    said[0x1000] = command[0x1000]
                connection.sendall(pdu(4, pdv(body[4], 3, command_set(dict(sorted(said.items()))))))


def read_pdu(connection: socket.socket) -> tuple[int, bytes]:
    head = connection.recv(6, socket.MSG_WAITALL)
    kind, _, length = struct.unpack(">BBL", head)
    return kind, connection.recv(length, socket.MSG_WAITALL)


def proposed(body: bytes) -> Iterator[int]:
    offset = 68
    while offset < len(body):
        kind, _, length = struct.unpack_from(">BBH", body, offset)
        if kind == 0x20:
            yield body[offset + 4]
        offset += 4 + length


def elements(command: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset < len(command):
        _, number, length = struct.unpack_from("<HHL", command, offset)
        yield number, command[offset + 8 : offset + 8 + length]
        offset += 8 + length


@pytest.mark.parametrize(
    ("user", "titles"),
    [
        (PLAIN, TITLE * 2),
        (PLAIN + item(0x5F, b"vendor's own"), TITLE * 2),
        (item(0x99, b"") + PLAIN + item(0x59, b"\0\1x"), TITLE * 2),
        (b"", TITLE * 2),
        (PLAIN + item(0x55, b"R\xd6NTGEN 2\0"), TITLE * 2),
        (PLAIN + item(0x52, b"") + item(0x54, b"\0\1"), TITLE * 2),
        (PLAIN, b"\xff\xfe\0\x1b".ljust(32, b"\0")),
        (PLAIN, bytes(32)),
    ],
    ids=["plain", "unknown", "unasked", "nothing", "version", "malformed", "titles", "blank"],
)
def test_results_are_delivered_whatever_a_peer_says_of_itself(
    tmp_path: Path, user: bytes, titles: bytes
) -> None:
    one = make_object(tmp_path / "one.dcm", syntax=IMPLICIT)
    behave = partial(answering, user, IMPLICIT.encode(), titles)
    with raw_peer(behave, LIMITS) as target:
        assert echo(target).ok
        assert list(store([one], target)) == ["0x0000 stored"]


def test_a_context_accepted_without_a_transfer_syntax_is_not_accepted(tmp_path: Path) -> None:
    behave = partial(answering, PLAIN, b"", TITLE * 2)
    with raw_peer(behave, LIMITS) as target:
        check = echo(target)
    assert not check.ok and "none of the presentation contexts" in check.words


@pytest.mark.parametrize(
    "sent",
    [
        struct.pack(">BBL", 2, 0, 1 << 20),
        struct.pack(">BBL", 3, 0, 0xFFFFFFFF),
        pdu(2, bytes(10)),
        pdu(2, bytes(68) + b"\x50\0\xff\xff"),
    ],
)
def test_an_answer_that_is_none_is_a_passing_fault(tmp_path: Path, sent: bytes) -> None:
    def behave(connection: socket.socket) -> None:
        read_pdu(connection)
        connection.sendall(sent)
        with suppress(OSError):
            connection.recv(100)

    one = make_object(tmp_path / "one.dcm")
    with raw_peer(behave, LIMITS) as target:
        (outcome,) = store([one], target)
    assert isinstance(outcome, TryAgain)


def test_what_is_understood_is_kept() -> None:
    roles = (Role("1.2.3", scu=True, scp=False), Role("\xff", scu=True, scp=False))
    results = (
        ContextResult(1, 0, IMPLICIT),
        ContextResult(3, 0, ""),
        ContextResult(5, 9, "\xff"),
        ContextResult(2, 0, IMPLICIT),
    )
    accept = AssociateAccept(
        bytes(16), bytes(16), results, UserInformation(None, "1.2.\xff", "A\\B", roles), "9"
    )
    found = understood(accept)
    assert found.results == (
        ContextResult(1, 0, IMPLICIT),
        ContextResult(3, 4, IMPLICIT),
        ContextResult(5, 4, IMPLICIT),
    )
    assert found.user == UserInformation(16_384, "", "", roles[:1])
    assert understood(decode_accept(encode_accept(found)[6:])) == found


def test_the_guard_changes_no_other_pdu() -> None:
    stream = pdu(3, bytes(4)) + pdu(4, b"abcdef") + pdu(4, b"x" * 6)
    read: list[bytes] = []

    def receive(count: int) -> bytearray:
        at = sum(map(len, read))
        read.append(stream[at : at + count])
        return bytearray(read[-1])

    guard: Callable[[int], bytearray] = AnswerGuard(receive)
    given = b"".join(guard(count) for count in (6, 4, 6, 6, 6, 6))
    assert given == stream
