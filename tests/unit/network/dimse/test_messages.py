"""DIMSE messages: any fragmentation gives the same, garbage gives BrokenMessage."""

import struct
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
    Assembler,
    BrokenMessage,
    Message,
    command_fragments,
    decode_command,
    encode_response,
)
from dicom_node.network.dimse.upper_layer import DataPDU
from tests.support.raw_scu import P_DATA, command_set, pdu, pdv, uid, us

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


def _values(parts: list[bytes], kind: int) -> list[bytes]:
    """Make presentation data values of a command (1) or a data set (0)."""
    last = len(parts) - 1
    return [pdv(5, kind | (2 if at == last else 0), part) for at, part in enumerate(parts)]


@given(st.binary(max_size=500), st.lists(st.integers(0, 999), max_size=8), st.booleans())
@settings(max_examples=100)
def test_any_fragmentation_gives_the_same_message(
    content: bytes, cuts: list[int], together: bool
) -> None:
    values = _values(_cut(command_set(ELEMENTS), cuts), 1) + _values(_cut(content, cuts), 0)
    pdus = [b"".join(values)] if together else values
    assembler = Assembler()
    found = [
        assembler.add(*value)
        for body in pdus
        for value in DataPDU.decode(bytearray(pdu(P_DATA, body))).values
    ]
    message = found[-1]
    assert message is not None and found[:-1] == [None] * (len(found) - 1)
    assert message.content == content
    assert message.command == {0x0000: message.command[0]} | ELEMENTS
    assert (message.number(MESSAGE_ID), message.text(0x1000)) == (300, "1.2.abc")
    assert not assembler.is_partial


@given(st.binary(max_size=200))
@settings(max_examples=200)
def test_garbage_is_a_broken_message_and_nothing_else(garbage: bytes) -> None:
    try:
        values = DataPDU.decode(bytearray(pdu(P_DATA, garbage))).values
    except ValueError:
        return
    assembler = Assembler()
    for value in values:
        try:
            assembler.add(*value)
        except BrokenMessage:
            return


@pytest.mark.parametrize(
    "fragments",
    [
        [(1, b"")],
        [(1, b"\x02data first")],
        [(1, b"\x01" + command_set(ELEMENTS)[:9]), (3, b"\x03rest")],
        [(1, b"\x03" + command_set(ELEMENTS)), (1, b"\x03" + command_set(ELEMENTS))],
        [(1, b"\x03" + command_set(ELEMENTS)[:-1])],
        [(1, b"\x03" + command_set(ELEMENTS)[:-15])],
        [(1, b"\x03\x08\0" + command_set(ELEMENTS))],
        [(1, b"\x01" + bytes(40000)), (1, b"\x01" + bytes(40000))],
    ],
)
def test_broken_sequences_of_fragments(fragments: list[tuple[int, bytes]]) -> None:
    assembler = Assembler()
    with pytest.raises(BrokenMessage):
        for context_id, fragment in fragments:
            assembler.add(context_id, memoryview(fragment))


@pytest.mark.parametrize("body", [b"\0", struct.pack(">LB", 1, 1), pdv(1, 3, b"x")[:-1]])
def test_presentation_data_values_must_fit(body: bytes) -> None:
    with pytest.raises(ValueError, match="presentation data value"):
        DataPDU.decode(bytearray(pdu(P_DATA, body)))


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
