"""Input that is refused: the status, nothing recorded, the association alive."""

import struct
import zlib

import pytest

from tests.support.encoded import CHEST, chest, explicit, explicit_element, implicit
from tests.support.raw_scu import CR, DX, SC, VERIFICATION, RawSCU, message_pdus, uid, us
from tests.support.receiver import Receiver


def _nested(depth: int) -> bytes:
    """A sequence of sequences, as deep as asked (PS3.5 7.5.2, undefined lengths)."""
    begin = struct.pack("<HH2sHL", 9, 0x1001, b"SQ", 0, 0xFFFFFFFF)
    begin += struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)
    return begin * depth


HEAD = chest()[:200]
HALVES = (
    explicit({tag: CHEST[tag] for tag in CHEST if tag < 0x00200000}),
    explicit({tag: CHEST[tag] for tag in CHEST if tag > 0x00200000}),
)


@pytest.mark.parametrize(
    ("data_set", "words"),
    [
        (b"this is not a data set, nor is it anything else", "truncated"),
        (chest()[:-70000][:100], "truncated"),
        (explicit_element(0x00080005, b"CS", b"ISO_IR 100", length=0x4000) + HEAD, "decoded"),
        (HEAD[:150] + b"\xff" * 7, ""),
        (chest({0x00090010: (b"LO", b"A"), 0x00091001: (b"UN", b"")})[:60] + _nested(5000), ""),
        (HALVES[0] + struct.pack("<HHL", 0xFFFE, 0xE00D, 0) + HALVES[1], "stray"),
    ],
    ids=["text", "cut", "length", "tail", "nesting", "delimiter"],
)
def test_undecodable_gets_c000(node: Receiver, scu: RawSCU, data_set: bytes, words: str) -> None:
    response = scu.store(data_set)
    assert response.status == 0xC000
    assert words in response.comment
    assert len(response.comment) <= 64
    assert node.rows() == [] and node.files() == [] and node.leftovers() == []


def test_damaged_deflate_gets_c000(node: Receiver, scu: RawSCU) -> None:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    deflated = packer.compress(chest()) + packer.flush()
    assert scu.store(deflated, context=11).status == 0x0000
    assert scu.store(b"\xff" * 100, "1.2.4", context=11).status == 0xC000
    assert scu.store(deflated[:80], "1.2.4", context=11).status == 0xC000
    assert len(node.rows()) == 1


def test_explicit_bytes_in_an_implicit_context_are_understood_or_refused(
    node: Receiver, scu: RawSCU
) -> None:
    assert scu.store(chest(), context=9).status in (0x0000, 0xC000)
    elements = {0x00080016: (b"UI", CR.encode()), 0x00080018: (b"UI", b"1.2.9")}
    assert scu.store(implicit(elements), sop_instance="1.2.9", context=9).status == 0xA900


@pytest.mark.parametrize(
    ("tag", "words"),
    [
        (0x00080016, "(0008,0016) SOPClassUID"),
        (0x00080018, "(0008,0018) SOPInstanceUID"),
        (0x0020000D, "(0020,000D) StudyInstanceUID"),
        (0x0020000E, "(0020,000E) SeriesInstanceUID"),
    ],
)
@pytest.mark.parametrize("value", [None, b"", b"\0\0"], ids=["absent", "empty", "padding"])
def test_missing_uid_gets_a900_with_its_tag(
    node: Receiver, scu: RawSCU, tag: int, words: str, value: bytes | None
) -> None:
    response = scu.store(chest({tag: None if value is None else (b"UI", value)}))
    assert response.status == 0xA900
    assert words in response.comment
    assert node.rows() == [] and node.files() == []


def test_empty_and_absent_data_sets_get_a900(node: Receiver, scu: RawSCU) -> None:
    elements = {0x0002: uid(CR), 0x0100: us(1), 0x0110: us(3), 0x0800: us(0x101), 0x1000: b"1\0"}
    assert scu.request(elements, None).status == 0xA900
    # a data set is announced; its one fragment is empty
    scu.send(message_pdus(elements | {0x0800: us(0)}, None, 1, 16384))
    scu.send([struct.pack(">BBLLBB", 4, 0, 6, 2, 1, 2)])
    assert scu.read_response().status == 0xA900
    assert node.rows() == []


@pytest.mark.parametrize(
    ("command", "context", "words"),
    [
        ({"sop_instance": "1.2.4"}, 1, "SOPInstanceUID is not the command's"),
        ({"sop_instance": ""}, 1, "SOPInstanceUID is not the command's"),
        ({"sop_class": DX}, 1, "SOPClassUID is not the command's"),
        ({"sop_class": ""}, 1, "SOPClassUID is not the command's"),
        ({"sop_class": "no.such.class"}, 1, "SOPClassUID is not the command's"),
        ({"sop_class": VERIFICATION}, 1, "SOPClassUID is not the command's"),
        ({}, 7, "SOPClassUID is not the context's"),
    ],
)
def test_command_that_differs_gets_a900(
    node: Receiver, scu: RawSCU, command: dict[str, str], context: int, words: str
) -> None:
    response = scu.store(chest(), **command, context=context)  # type: ignore[arg-type]
    assert (response.status, words in response.comment) == (0xA900, True)
    assert node.rows() == [] and node.files() == []


def test_class_that_is_not_served_is_refused_as_context(node: Receiver) -> None:
    ct = "1.2.840.10008.5.1.4.1.1.2"
    seg = "1.2.840.10008.5.1.4.1.1.66.4"
    mpeg = "1.2.840.10008.1.2.4.100"
    contexts = ((ct, ("1.2.840.10008.1.2",)), (seg, ("1.2.840.10008.1.2",)), (SC, (mpeg,)))
    with RawSCU(node.port, (*contexts, (CR, ("1.2.840.10008.1.2.1",)))) as scu:
        # 3: abstract syntax not supported, 4: transfer syntaxes (PS3.8 table 9-18)
        assert scu.accepted == {1: 3, 3: 3, 5: 4, 7: 0}
        assert scu.store(chest(), context=7).status == 0x0000
