"""The acceptor's connection: any bytes, in any pieces, give events or an abort."""

import random
import struct
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicom_node.network.dimse.upper_layer.connection import (
    LARGEST_PDU,
    MOST_EMPTY,
    Connection,
    Data,
    Ended,
    ReleaseRequested,
    Requested,
)
from dicom_node.network.dimse.upper_layer.negotiation import Supported, negotiate
from dicom_node.network.dimse.upper_layer.pdu import LARGEST_ASSOCIATE, UserInformation
from dicom_node.network.dimse.upper_layer.state import State
from tests.support.mutations import mutated
from tests.support.raw_scu import (
    CR,
    EXPLICIT,
    P_DATA,
    associate_rq,
    command_set,
    message_pdus,
    pdu,
    pdv,
    uid,
    us,
)

REQUEST = associate_rq(((CR, (EXPLICIT,)),), b"XRAY1", b"CXRAI")
RELEASE = pdu(5, bytes(4))
STORE = {0x0002: uid(CR), 0x0100: us(1), 0x0110: us(7), 0x0800: us(0), 0x1000: uid("1.2.3")}
ECHO = {0x0100: us(0x30), 0x0110: us(1), 0x0800: us(0x101)}
ABORT_OF_PROVIDER = b"\7\0\0\0\0\4\0\0\2"
Seen = list[object]


def drive(connection: Connection, chunks: Sequence[bytes]) -> Seen:
    """Feed chunk by chunk, accept what is asked for, and join the pieces of a fragment."""
    seen: Seen = []
    for chunk in chunks:
        for event in connection.receive(memoryview(chunk)):
            if isinstance(event, Requested):
                answer, _ = negotiate(
                    event.request, {CR: Supported((EXPLICIT,))}, UserInformation()
                )
                assert connection.accept(answer)[0] == 2
            elif isinstance(event, ReleaseRequested):
                assert connection.release()[0] == 6
            elif isinstance(event, Data):
                before = seen[-1] if seen else None
                if isinstance(before, list) and before[:2] == list(event[:2]) and not before[3]:
                    before[2] += bytes(event.content)
                    before[3] = event.ends
                else:
                    seen.append(
                        [event.context_id, event.is_command, bytes(event.content), event.ends]
                    )
                continue
            seen.append(event)
    return seen


def cut(content: bytes, places: list[int]) -> list[bytes]:
    at = sorted({place % (len(content) + 1) for place in places} | {0, len(content)})
    return [content[start:end] for start, end in pairwise(at)]


@given(st.binary(max_size=400), st.integers(8, 200), st.lists(st.integers(0, 2000), max_size=30))
def test_any_chunks_give_the_same_events(content: bytes, size: int, places: list[int]) -> None:
    stream = b"".join(
        [REQUEST, *message_pdus(STORE, content or b"x", 1, size), *message_pdus(ECHO, None, 1, 99)]
    )
    stream += RELEASE
    whole = drive(Connection(), [stream])
    connection = Connection()
    assert drive(connection, cut(stream, places)) == whole
    assert connection.state is State.AWAITING_CLOSE
    assert [one for one in whole if isinstance(one, list)] == [
        [1, True, command_set(STORE), True],
        [1, False, content or b"x", True],
        [1, True, command_set(ECHO), True],
    ]
    assert isinstance(whole[0], Requested) and isinstance(whole[-1], ReleaseRequested)


def test_byte_by_byte_is_the_same_too() -> None:
    stream = REQUEST + pdu(P_DATA, pdv(1, 3, command_set(STORE)) + pdv(1, 2, b"abc")) + RELEASE
    assert drive(Connection(), [bytes([one]) for one in stream]) == drive(Connection(), [stream])


@settings(max_examples=300)
@given(st.integers(0, 1 << 32), st.lists(st.integers(0, 4000), max_size=10), st.booleans())
def test_mutated_bytes_give_events_or_an_abort(seed: int, places: list[int], open_: bool) -> None:
    choice = random.Random(seed)  # noqa: S311 - no secret
    seeds = [
        REQUEST,
        b"".join(message_pdus(STORE, b"data set" * 99, 1, 300)) + RELEASE,
    ]
    mutant = mutated(seeds[open_ : open_ + 1], [b"\0\0\0\0", b"\xff\xff", b"\x50\0"], choice)
    connection = Connection()
    if open_:
        drive(connection, [REQUEST])
    seen = drive(connection, cut(mutant, places))
    ends = [event for event in seen if isinstance(event, Ended)]
    assert len(ends) <= 1
    assert all(not one.answer or one.answer.startswith(ABORT_OF_PROVIDER) for one in ends)
    assert all(one.reason for one in ends)
    if ends:
        assert seen[-1] is ends[0]
        assert connection.state in (State.AWAITING_CLOSE, State.IDLE)
        assert drive(connection, [REQUEST, mutant]) == []
    assert len(connection._body) <= LARGEST_ASSOCIATE


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (struct.pack(">BBL", 1, 0, LARGEST_ASSOCIATE + 1), "longer than 128 KiB"),
        (struct.pack(">BBL", 1, 0, 0xFFFFFFFF), "longer than 128 KiB"),
        (pdu(1, b""), "the request is empty"),
        (pdu(1, bytes(10)), "association PDU is cut"),
        (pdu(2, bytes(100))[:6], "type 2 was out of turn"),
        (pdu(P_DATA, b"x" * 99)[:6], "type 4 was out of turn"),
        (pdu(5, bytes(4)), "type 5 was out of turn"),
        (pdu(8, bytes(70)), "no DICOM was spoken"),
        (b"GET / HTTP/1.1\r\n", "no DICOM was spoken"),
        (b"\x16\x03\x01\x02\x00\x01\x00", "no DICOM was spoken"),
        (struct.pack(">BBL", 7, 0, 1 << 20), "type 7 has a wrong length"),
    ],
)
def test_what_is_no_request_is_answered_at_its_head(sent: bytes, reason: str) -> None:
    connection = Connection()
    (ended,) = drive(connection, [sent])
    assert isinstance(ended, Ended) and reason in ended.reason
    assert ended.answer.startswith(ABORT_OF_PROVIDER) and len(ended.answer) == 10
    assert connection.abort() == b""


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (struct.pack(">BBL", 4, 0, LARGEST_PDU + 1), "too long"),
        (pdu(P_DATA, struct.pack(">LB", 1, 1) + b"x"), "wrong length"),
        (pdu(P_DATA, struct.pack(">LBB", 500, 1, 3)), "wrong length"),
        (pdu(P_DATA, b"\0\0\0\2\1"), "is cut"),
        (pdu(P_DATA, pdv(1, 0, b"x") + b"\0\0"), "is cut"),
        (pdu(P_DATA, pdv(1, 0, b"") * (MOST_EMPTY + 1)), "are empty"),
        (pdu(P_DATA, pdv(1, 0, b"")) * (MOST_EMPTY + 1), "are empty"),
        (pdu(P_DATA, b"") * (MOST_EMPTY + 1), "are empty"),
        (REQUEST, "type 1 was out of turn"),
        (struct.pack(">BBL", 5, 0, 5), "type 5 has a wrong length"),
        (pdu(6, bytes(4)), "type 6 was out of turn"),
        (struct.pack(">BBL", 0x42, 0, 4), "no DICOM"),
    ],
)
def test_what_breaks_an_association_is_aborted(sent: bytes, reason: str) -> None:
    connection = Connection()
    drive(connection, [REQUEST])
    ended = drive(connection, [sent])[-1]
    assert isinstance(ended, Ended) and reason in ended.reason
    assert ended.answer.startswith(ABORT_OF_PROVIDER)
    assert connection.state is State.AWAITING_CLOSE


def test_empty_values_are_borne_as_long_as_others_come_between() -> None:
    connection = Connection()
    drive(connection, [REQUEST])
    values = (pdv(1, 0, b"") * MOST_EMPTY + pdv(1, 0, b"x")) * 3
    assert drive(connection, [pdu(P_DATA, values)]) == [[1, False, b"xxx", False]]


@pytest.mark.parametrize("before", [b"", REQUEST[:3], REQUEST[:40], REQUEST])
def test_an_abort_of_the_peer_or_a_closed_connection_end_it(before: bytes) -> None:
    closing, aborting = Connection(), Connection()
    drive(closing, [before])
    assert closing.close().answer == b""
    assert closing.state is State.IDLE
    if before in (b"", REQUEST):
        drive(aborting, [before])
        (ended,) = drive(aborting, [pdu(7, bytes(4))])
        assert ended == Ended("the peer aborted")


def test_the_user_aborts_in_every_state_with_a_connection() -> None:
    steps: list[Callable[[Connection], object]] = [
        lambda one: list(one.receive(memoryview(REQUEST[:5]))),
        lambda one: list(one.receive(memoryview(REQUEST))),
        lambda one: drive(one, [REQUEST]),
    ]
    for step in steps:
        connection = Connection()
        step(connection)
        assert connection.abort() == pdu(7, bytes(4))
        assert connection.abort() == b""
    assert Connection().abort() == b""


def test_what_is_out_of_turn_for_our_own_side_is_our_fault() -> None:
    for step in (Connection().release, lambda: Connection().reject(1, 1, 3)):
        with pytest.raises(KeyError):
            step()
