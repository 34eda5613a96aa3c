"""Headers, right and wrong, as the rules see them."""

import csv
import struct
import tracemalloc
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicom_node.domain.admission import Route, admit
from dicom_node.domain.errors import NotAnalysable
from dicom_node.domain.study import NODE_MODEL, Instance, InstanceRef, Orientation
from dicom_node.formats.dicom.header import describe, read_header
from tests.support.encoded import CHEST, chest, explicit_element, implicit
from tests.support.headers import describe_bytes, parse_bytes
from tests.support.raw_scu import CR, DX, EXPLICIT, IMPLICIT

DEFLATED = "1.2.840.10008.1.2.1.99"


def _described(changes: dict[int, tuple[bytes, bytes] | None]) -> Instance:
    return describe_bytes(chest(changes), EXPLICIT)


def _item(**values: object) -> Dataset:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


def _with_sequence(keyword: str, item: Dataset, **values: object) -> Instance:
    """Encode a data set with a sequence by pydicom and describe the bytes."""
    ds = _item(**values)
    setattr(ds, keyword, [item])
    encoded = BytesIO()
    ds.save_as(encoded, implicit_vr=False, little_endian=True)
    return describe_bytes(encoded.getvalue(), EXPLICIT)


def test_facts_of_a_radiograph() -> None:
    instance = _described({0x00200020: (b"CS", b"L\\F"), 0x00080050: (b"SH", b"ACC 1 ")})
    assert instance == Instance(
        ref=InstanceRef(CR, "1.2.3"),
        study_uid="1.2",
        series_uid="1.2.1",
        transfer_syntax_uid=EXPLICIT,
        patient_id="PAT1",
        accession_number="ACC 1",
        modality="CR",
        body_part="CHEST",
        view_position="PA",
        photometric="MONOCHROME2",
        rows=300,
        columns=256,
        bits_stored=8,
        orientation=Orientation("L", "F"),
    )


@pytest.mark.parametrize(
    "syntax", [EXPLICIT, IMPLICIT, str(ExplicitVRBigEndian), DEFLATED], ids=str
)
def test_every_encoding_gives_the_same_facts(syntax: str, tmp_path: Path) -> None:
    ds = Dataset()
    ds.update({element.tag: element for element in dcmread(BytesIO(implicit(CHEST)), force=True)})
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = UID(syntax)
    ds.file_meta.MediaStorageSOPClassUID = UID(CR)
    ds.file_meta.MediaStorageSOPInstanceUID = UID("1.2.3")
    path = tmp_path / "x.dcm"
    ds.save_as(path, enforce_file_format=True)
    header = read_header(path)
    assert "PixelData" not in header
    assert header.file_meta.TransferSyntaxUID == syntax
    expected = describe_bytes(implicit(CHEST), IMPLICIT)
    found = describe(header)
    assert found.transfer_syntax_uid == syntax
    assert [getattr(found, name) for name in ("ref", "rows", "columns", "bits_stored")] == [
        getattr(expected, name) for name in ("ref", "rows", "columns", "bits_stored")
    ]
    assert (found.body_part, found.modality, found.patient_id) == ("CHEST", "CR", "PAT1")


@pytest.mark.parametrize("encoded", [chest(), implicit(CHEST)], ids=["explicit", "implicit"])
def test_file_without_meta_is_guessed(tmp_path: Path, encoded: bytes) -> None:
    path = tmp_path / "bare"
    path.write_bytes(encoded)
    assert describe(read_header(path)).rows == 300
    path.write_bytes(bytes(128) + b"DICM" + encoded)
    header = read_header(path)
    assert describe(header).ref.sop_instance_uid == "1.2.3"
    assert header.file_meta.TransferSyntaxUID in (ExplicitVRLittleEndian, ImplicitVRLittleEndian)


def test_constructed_data_set_is_described_too() -> None:
    ds = _item(SOPClassUID=DX, SOPInstanceUID="1.5", Rows=10, NumberOfFrames="2")
    instance = describe(ds)
    assert (instance.rows, instance.frames) == (10, 2)
    assert instance.transfer_syntax_uid == ""


@pytest.mark.parametrize(
    ("value", "orientation"),
    [
        (b"L\\F", Orientation("L", "F")),
        (b"R\\F ", Orientation("R", "F")),
        (b"P\\F", Orientation("P", "F")),
        (b"F\\L", Orientation("F", "L")),
        (b"LA\\FP", Orientation("LA", "FP")),
        (b"L\\R", None),
        (b"L", None),
        (b"", None),
        (b"left\\foot", None),
        (b"L\\F\\A", None),
        (b"\\F", None),
    ],
)
def test_orientation(value: bytes, orientation: Orientation | None) -> None:
    instance = _described({0x00200020: (b"CS", value), 0x00200060: (b"CS", b"L")})
    assert instance.orientation == orientation
    assert ("malformed PatientOrientation" in instance.deviations) == bool(
        value and not orientation
    )


@pytest.mark.parametrize(
    ("code", "meaning", "view"),
    [
        ("272479007", "postero-anterior", "PA"),
        ("R-10206", "antero-posterior", "AP"),
        ("399033003", "frontal", ""),
        ("399173006", "left lateral", "LL"),
        ("399182000", "oblique", "OBLIQUE"),
    ],
)
def test_view_from_its_code(code: str, meaning: str, view: str) -> None:
    item = _item(CodeValue=code, CodingSchemeDesignator="SCT", CodeMeaning=meaning)
    assert _with_sequence("ViewCodeSequence", item).view_position == view
    assert _with_sequence("ViewCodeSequence", item, ViewPosition="AP").view_position == "AP"


@pytest.mark.parametrize(
    ("code", "meaning", "part"),
    [
        ("816094009", "Chest", "CHEST"),
        ("T-D3000", "Chest", "CHEST"),
        ("39607008", "Lung", "CHEST"),
        ("29836001", "Hip", "HIP"),
    ],
)
def test_body_part_from_its_code(code: str, meaning: str, part: str) -> None:
    item = _item(CodeValue=code, CodingSchemeDesignator="SCT", CodeMeaning=meaning)
    assert _with_sequence("AnatomicRegionSequence", item).body_part == part
    named = _with_sequence("AnatomicRegionSequence", item, BodyPartExamined="HAND")
    assert named.body_part == "HAND"


def test_own_objects_are_known_by_their_equipment() -> None:
    ours = _item(ManufacturerModelName=NODE_MODEL)
    theirs = _item(ManufacturerModelName="other")
    assert _described({0x00081090: (b"LO", NODE_MODEL.encode())}).made_by_node
    assert _with_sequence("ContributingEquipmentSequence", ours).made_by_node
    assert not _with_sequence("ContributingEquipmentSequence", theirs).made_by_node


@pytest.mark.parametrize(
    ("charset", "value", "patient_id"),
    [
        (b"ISO_IR 192", "Jörg-1".encode(), "Jörg-1"),
        (b"ISO_IR 100", "Jörg-1".encode("latin-1"), "Jörg-1"),
        (b"GB18030", "王1".encode("gb18030"), "王1"),
        (b"\\ISO 2022 IR 87", b"\x1b$B;3ED\x1b(B", "山田"),
        (b"NO_SUCH_SET", b"A\xff", "Aÿ"),
        (b"ISO_IR 192", b"A\xff", "A\ufffd"),
        (b"ISO_IR 100", b"A\0B\x1bC\r", "A?B?C"),
    ],
)
def test_identifiers_in_their_character_set(charset: bytes, value: bytes, patient_id: str) -> None:
    instance = _described({0x00080005: (b"CS", charset), 0x00100020: (b"LO", value)})
    assert instance.patient_id == patient_id
    assert ("unknown SpecificCharacterSet" in instance.deviations) == (charset == b"NO_SUCH_SET")


def test_deviations_are_named_without_values() -> None:
    instance = _described(
        {0x00080018: (b"UI", b"1.02"), 0x0020000D: (b"UI", b"x"), 0x00100020: None}
    )
    assert instance.deviations == (
        "malformed SOPInstanceUID",
        "malformed StudyInstanceUID",
        "empty PatientID",
    )


@pytest.mark.parametrize(
    ("rows", "frames"), [((b"US", b""), b"x"), ((b"IS", b""), b"2.5"), ((b"US", b"\1"), b"-")]
)
def test_wrong_numbers_never_fail(rows: tuple[bytes, bytes], frames: bytes) -> None:
    instance = _described({0x00280010: rows, 0x00280008: (b"IS", frames)})
    assert instance.frames == 1
    assert instance.rows in (0, 1, 0x2001)  # absent, or the byte with its padding


def test_odd_elements_are_named() -> None:
    instance = _described({0x00101030: (b"ZZ", b"80"), 0x00090010: (b"LO", b"OTHER")})
    assert instance.deviations == ("unknown VR or odd length in (0010,1030)",)
    odd = explicit_element(0x00100020, b"LO", b"A1", length=3) + b"X"
    assert "unknown VR or odd length in (0010,0020)" in describe_bytes(odd, EXPLICIT).deviations


def test_elements_without_end_are_counted_not_named() -> None:
    odd = b"".join(struct.pack("<HH2sH", 0x0019, one, b"LO", 1) + b"x" for one in range(5000))
    found = describe_bytes(odd + chest(), EXPLICIT).deviations
    assert "unknown VR or odd length in 4980 more" in found
    assert len(found) < 30


def test_deflate_bomb_is_refused_in_bounded_memory() -> None:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    head = packer.compress(b"\x08\x00\x01\x00UN\0\0\xf0\xff\xff\x7f")
    head += packer.flush(zlib.Z_FULL_FLUSH)
    megabyte = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    tracemalloc.start()
    with pytest.raises(NotAnalysable):
        parse_bytes(head + 500 * megabyte, DEFLATED)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 250 << 20


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_damaged_bytes_give_a_description_or_a_refusal(draw: Any) -> None:  # noqa: ANN401
    content = bytearray(chest()[:400])
    for _ in range(draw.draw(st.integers(1, 8))):
        content[draw.draw(st.integers(0, len(content) - 1))] = draw.draw(st.integers(0, 255))
    syntax = draw.draw(st.sampled_from([EXPLICIT, IMPLICIT, str(ExplicitVRBigEndian), DEFLATED]))
    try:
        instance = describe_bytes(bytes(content), syntax)
    except NotAnalysable:
        return
    admit(instance, "ANY", (Route("chest"),))


@pytest.mark.data
def test_shared_files_are_admitted_as_their_manifest_says(shared: Path) -> None:
    wrong = []
    with (shared / "dicom" / "manifest.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))
    for row in rows:
        try:
            instance = describe(read_header(shared / "dicom" / row["file"]))
        except NotAnalysable:
            found = "refused"
        else:
            found = "read" if admit(instance, "ANY", (Route("chest"),)).jobs else "not analysed"
        expected = {"malf": ("refused", "not analysed"), "othe": ("not analysed",)}
        if found not in expected.get(row["file"][:4], ("read",)):
            wrong.append((row["file"], found))
    assert wrong == []
    assert len(rows) >= 50


@pytest.mark.parametrize(
    "tag", [0x00080005, 0x00080016, 0x00080060, 0x00100020, 0x00200020, 0x00280010]
)
def test_an_empty_element_with_a_damaged_vr_is_described(tag: int) -> None:
    content = chest({tag: (b"ZZ", b"")})
    try:
        described = describe_bytes(content, EXPLICIT)
    except NotAnalysable:
        return
    assert described.study_uid


def test_a_damaged_transfer_syntax_uid_is_guessed(tmp_path: Path) -> None:
    path = tmp_path / "damaged.dcm"
    first = explicit_element(0x00020002, b"UI", b"1.2.3\0")
    for damaged in (
        explicit_element(0x00020010, b"ZZ", b""),
        explicit_element(0x00020010, b"UN", b"1.2." * 50_000),
    ):
        path.write_bytes(bytes(128) + b"DICM" + first + damaged + chest())
        assert read_header(path).file_meta.TransferSyntaxUID == EXPLICIT
