"""DIMSE messages: any pieces give the same, garbage gives BrokenMessage."""

from io import BytesIO
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pynetdicom.dimse_messages import C_STORE_RSP
from pynetdicom.dsutils import decode

from dicom_node.network.dimse.messages import (
    COMMAND_FIELD,
    ERROR_COMMENT,
    MESSAGE_ID,
    BrokenMessage,
    Message,
    MessageReader,
    command_fragments,
    decode_command,
    encode_response,
)
from dicom_node.network.dimse.upper_layer.connection import Data
from tests.support.raw_scu import command_set, uid, us

ELEMENTS = {
    0x0002: uid("1.2.3"),
    0x0100: us(1),
    0x0110: us(300),
    0x0800: us(1),
    0x1000: uid("1.2.abc"),
}


def _cut(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(places)] or [b""]


def _piece(context_id: int, control: int, content: bytes) -> Data:
    return Data(context_id, bool(control & 1), memoryview(content), bool(control & 2))


@given(st.binary(max_size=500), st.lists(st.integers(0, 999), max_size=8), st.integers(1, 20))
@settings(max_examples=100)
def test_any_pieces_give_the_same_message(content: bytes, cuts: list[int], times: int) -> None:
    reader = MessageReader()
    for _ in range(min(times, 3)):
        command = _cut(command_set(ELEMENTS), cuts)
        for at, part in enumerate(command):
            assert reader.add(_piece(5, 3 if at == len(command) - 1 else 1, part)) is None
            assert reader.is_partial
        assert reader.message is not None and reader.message.has_data_set
        parts = _cut(content, cuts)
        found = [
            reader.add(_piece(5, 2 if at == len(parts) - 1 else 0, part))
            for at, part in enumerate(parts)
        ]
        message = found[-1]
        assert message is not None and found[:-1] == [None] * (len(found) - 1)
        assert message.command == {0x0000: message.command[0]} | ELEMENTS
        assert (message.number(MESSAGE_ID), message.text(0x1000)) == (300, "1.2.abc")
        assert not reader.is_partial and reader.size == 0


def test_a_command_without_data_set_is_a_message() -> None:
    echo = {0x0100: us(0x30), 0x0110: us(1), 0x0800: us(0x101)}
    reader = MessageReader()
    message = reader.add(_piece(1, 3, command_set(echo)))
    assert message is not None and not message.has_data_set and not reader.is_partial


@pytest.mark.parametrize(
    "pieces",
    [
        [(1, 2, b"data first")],
        [(1, 1, command_set(ELEMENTS)[:9]), (3, 3, b"rest")],
        [(1, 3, command_set(ELEMENTS)), (3, 2, b"other context")],
        [(1, 3, command_set(ELEMENTS)), (1, 3, command_set(ELEMENTS))],
        [(1, 3, command_set(ELEMENTS)[:-1])],
        [(1, 3, command_set(ELEMENTS)[:-15])],
        [(1, 3, b"\x08\0" + command_set(ELEMENTS))],
        [(1, 1, bytes(40000)), (1, 1, bytes(40000))],
    ],
)
def test_broken_sequences_of_fragments(pieces: list[tuple[int, int, bytes]]) -> None:
    reader = MessageReader()
    with pytest.raises(BrokenMessage):
        for piece in pieces:
            reader.add(_piece(*piece))


def test_response_reads_back_in_pynetdicom() -> None:
    request = Message(1, ELEMENTS)
    encoded = encode_response(request, 0xA700, "disk \\ full " + "x" * 80)
    response = C_STORE_RSP()
    response.command_set = decode(BytesIO(encoded), True, True)
    assert response.command_set.CommandField == 0x8001
    assert response.command_set.MessageIDBeingRespondedTo == 300
    assert response.command_set.Status == 0xA700
    assert response.command_set.CommandDataSetType == 0x0101
    assert response.command_set.CommandGroupLength == len(encoded) - 12
    comment = decode_command(encoded)[ERROR_COMMENT]
    assert comment.startswith(b"disk / full xxx") and len(comment) == 64


@pytest.mark.parametrize("max_pdu", [0, 7, 20, 16384])
def test_command_is_cut_for_small_pdus(max_pdu: int) -> None:
    encoded = command_set(ELEMENTS)
    fragments = list(command_fragments(encoded, max_pdu))
    assert b"".join(fragment[1:] for fragment in fragments) == encoded
    assert [fragment[0] for fragment in fragments] == [1] * (len(fragments) - 1) + [3]
    assert all(len(fragment) + 5 <= (max_pdu or 1 << 20) for fragment in fragments)


def test_numbers_of_a_wrong_length_are_no_numbers() -> None:
    message = Message(1, {COMMAND_FIELD: b"\1", MESSAGE_ID: b"\1\0\0\0"})
    assert message.number(COMMAND_FIELD) is None
    assert message.number(MESSAGE_ID) is None
