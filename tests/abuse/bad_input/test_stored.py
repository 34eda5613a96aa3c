"""Odd input that is stored: status, outcome, association alive."""

import struct

import pytest
from pydicom import dcmread

from dicom_node.domain.study import NODE_MODEL
from tests.support.encoded import CHEST, chest, explicit, explicit_element
from tests.support.raw_scu import DX, DX_FOR_PROCESSING, SC, RawSCU
from tests.support.receiver import XRAY, Receiver, Setup, receiver

READ = "pneumothorax"


def us(value: int) -> tuple[bytes, bytes]:
    return b"US", struct.pack("<H", value)


def cs(value: bytes) -> tuple[bytes, bytes]:
    return b"CS", value


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {0x00185101: cs(b"AP")},
        {0x00185101: None},
        {0x00180015: cs(b"chest ")},
        {0x00180015: None},
        {0x00100020: (b"LO", b"")},
        {0x00100020: None, 0x00100010: None},
        {0x00200020: cs(b"R\\F")},
        {0x00200020: cs(b"P\\F")},
        {0x00200020: cs(b"F\\L")},
        {0x00080008: cs(b"DERIVED\\SECONDARY")},
        {0x00280301: cs(b"YES")},
        {0x00080005: cs(b"ISO_IR 192"), 0x00100010: (b"PN", "Müller^Jörg".encode())},
        {0x00080005: cs(b"GB18030"), 0x00100010: (b"PN", "王^小东".encode("gb18030"))},
        {0x00080005: cs(b"\\ISO 2022 IR 87"), 0x00100010: (b"PN", b"Y^T=\x1b$B;3ED\x1b(B")},
        {0x00080005: cs(b"ISO_IR 13"), 0x00100010: (b"PN", b"\xd4\xcf\xc0\xde")},
        {0x00080005: cs(b"NO_SUCH_SET"), 0x00100010: (b"PN", b"\xff\xfe\x00\x80")},
        {0x00281050: (b"DS", b"not a number")},
        {0x00080020: (b"DA", b"1993.02.24"), 0x00101010: (b"AS", b"58")},
        {0x00101030: (b"ZZ", b"strange VR")},
        {0x00280008: (b"IS", b"1")},
        {0x00280008: (b"IS", b"")},
        {0x00090010: (b"LO", b"OTHER"), 0x00091001: (b"UN", b"\x01\x02\x03\x04")},
        {0x00282110: cs(b"01")},
    ],
    ids=str,
)
def test_chest_radiograph_becomes_a_job(
    node: Receiver, scu: RawSCU, changes: dict[int, tuple[bytes, bytes] | None]
) -> None:
    content = chest(changes)
    assert scu.store(content).status == 0x0000
    assert node.outcomes() == [READ]
    (file,) = node.files()
    assert file.read_bytes().endswith(content)


@pytest.mark.parametrize("ending", ["extra", "cut", "none"])
def test_pixels_are_left_to_the_worker(node: Receiver, scu: RawSCU, ending: str) -> None:
    pixels = {"extra": bytes(300 * 256 + 14), "cut": bytes(1000), "none": b""}[ending]
    assert scu.store(chest({0x7FE00010: (b"OW", pixels)})).status == 0x0000
    assert node.outcomes() == [READ]


def test_length_of_the_pixels_beyond_the_end_is_stored(node: Receiver, scu: RawSCU) -> None:
    header = explicit({tag: CHEST[tag] for tag in CHEST if tag != 0x7FE00010})
    cut = header + explicit_element(0x7FE00010, b"OW", bytes(500), length=300 * 256)
    assert scu.store(cut).status == 0x0000
    assert node.outcomes() == [READ]


@pytest.mark.parametrize(
    ("changes", "context", "reason"),
    [
        ({0x00080016: (b"UI", DX_FOR_PROCESSING.encode())}, 5, "image for processing"),
        ({0x00185101: cs(b"LL")}, 1, "view LL"),
        ({0x00185101: cs(b"LLO")}, 1, "view LLO"),
        ({0x00180015: cs(b"HAND")}, 1, "body part HAND"),
        ({0x00280008: (b"IS", b"3")}, 1, "multi-frame"),
        ({0x00280002: us(3), 0x00280004: cs(b"RGB")}, 1, "colour"),
        ({0x00080060: cs(b"OT"), 0x00080016: (b"UI", SC.encode())}, 7, "modality OT"),
        ({0x00280301: cs(b"YES"), 0x00080016: (b"UI", SC.encode())}, 7, "burned-in"),
        ({0x00280010: us(0)}, 1, "no pixels"),
        ({0x00280011: None}, 1, "no pixels"),
        ({0x00280010: us(255)}, 1, "too small"),
        ({0x00280010: us(65535), 0x00280011: us(65535)}, 1, "too large"),
        ({0x00081090: (b"LO", NODE_MODEL.encode())}, 1, "own result"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_unsuitable_is_stored_with_its_reason(
    node: Receiver,
    scu: RawSCU,
    changes: dict[int, tuple[bytes, bytes] | None],
    context: int,
    reason: str,
) -> None:
    sop_class = (changes.get(0x00080016) or CHEST[0x00080016])[1].decode()
    assert scu.store(chest(changes), sop_class, context=context).status == 0x0000
    (outcome,) = node.outcomes()
    assert outcome.startswith("not analysed: ") and reason in outcome
    assert node.rows("jobs") == [] and len(node.files()) == 1


def test_monochrome_secondary_capture_of_a_radiograph_is_read(node: Receiver, scu: RawSCU) -> None:
    content = chest({0x00080016: (b"UI", SC.encode())})
    assert scu.store(content, SC, context=7).status == 0x0000
    assert node.outcomes() == [READ]


def test_dx_in_jpeg_extended_is_stored(node: Receiver, scu: RawSCU) -> None:
    assert scu.store(chest(), context=13).status == 0x0000
    assert scu.store(
        chest({0x00080016: (b"UI", DX.encode()), 0x00080018: (b"UI", b"1.9")}), DX, "1.9", context=3
    ).status == (0x0000)
    assert node.outcomes() == [READ, READ]
    assert dcmread(node.files()[0], stop_before_pixels=True).file_meta is not None


@pytest.mark.parametrize(
    "malformed",
    ["1.2.abc-DEF", "1." + "9" * 68, "1.02.3", "../../etc/passwd", "1.2.3 4\\5"],
)
def test_malformed_uid_is_copied_unchanged_and_names_no_file(
    node: Receiver, scu: RawSCU, malformed: str
) -> None:
    value = (b"UI", malformed.encode())
    content = chest({0x00080018: value, 0x0020000D: value, 0x0020000E: value})
    response = scu.store(content, sop_instance=malformed)
    assert (response.status, response.sop_instance_uid) == (0x0000, malformed)
    (row,) = node.rows()
    assert (row.sop_instance_uid, row.study_uid) == (malformed, malformed)
    assert node.outcomes() == [READ]
    (file,) = node.files()
    assert file == node.root / "archive" / row.file_key
    assert file.stem == row.file_sha256
    assert file.read_bytes().endswith(content)


def test_same_content_again_is_a_success_without_new_work(node: Receiver, scu: RawSCU) -> None:
    for _ in range(3):
        assert scu.store(chest()).status == 0x0000
    assert len(node.rows()) == len(node.rows("jobs")) == len(node.files()) == 1


def test_same_content_from_another_caller_is_the_same(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    root = tmp_path_factory.mktemp("two")
    pacs = type(XRAY)("pacs", "PACS", "127.0.0.1")
    with receiver(root, Setup(peers=(XRAY, pacs))) as node:
        for calling in (b"XRAY1", b"PACS"):
            with RawSCU(node.port, calling=calling) as scu:
                assert scu.store(chest()).status == 0x0000
        assert [row.calling_ae for row in node.rows()] == ["XRAY1"]
        assert len(node.rows("jobs")) == 1 and node.rows("alarms") == []


@pytest.mark.parametrize(
    "changes",
    [{0x7FE00010: (b"OW", b"\1" * 300 * 256)}, {0x00100020: (b"LO", b"PAT2")}],
    ids=["pixels", "patient"],
)
def test_other_content_under_a_known_uid_gets_b007(
    node: Receiver, scu: RawSCU, changes: dict[int, tuple[bytes, bytes] | None]
) -> None:
    assert scu.store(chest()).status == 0x0000
    response = scu.store(chest(changes))
    assert response.status == 0xB007
    assert 0 < len(response.comment) <= 64
    assert scu.store(chest()).status == 0x0000
    (row,) = node.rows()
    assert (node.root / "archive" / row.file_key).read_bytes().endswith(chest())
    assert len(node.rows("jobs")) == 1
    assert [alarm.kind for alarm in node.rows("alarms")] == ["conflict"]
