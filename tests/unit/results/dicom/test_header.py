import struct
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, timedelta, timezone
from io import BytesIO

import numpy as np
import pydicom
import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from dicom_node.domain.findings import CodedConcept, Findings
from dicom_node.domain.study import NODE_MODEL, Radiograph
from dicom_node.domain.work import ObjectKind, ReportObject
from dicom_node.formats.dicom import header as header_of
from dicom_node.results.common import ExaminedImage, ReportContext
from dicom_node.results.dicom import text_sr
from dicom_node.results.registry import BUILDERS

Built = Callable[..., Dataset]
Make = Callable[..., Findings]
Builds = Callable[..., ReportObject]
KINDS: tuple[ObjectKind, ...] = tuple(BUILDERS)
NAMES = {
    "ISO_IR 100": "Müller^Anna".encode("latin-1"),
    "ISO_IR 192": "Müller^Анна=山田".encode(),
    "GB18030": "Wang^XiaoDong=王^小东".encode("gb18030"),
    "\\ISO 2022 IR 87": b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B",
    "\\ISO 2022 IR 149": b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7",
    "ISO_IR 13": b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3",
    "ISO_IR 999": b"K\xf6nig^\xc4nne",
    "": b"Plain^Name",
}


def with_raw(ds: Dataset, **values: bytes) -> Dataset:
    """Replace attributes by bytes that no library made."""
    for keyword, value in values.items():
        tag = Tag(keyword)
        vr = pydicom.datadict.dictionary_VR(tag)
        padded = value + b" " * (len(value) % 2)
        ds[tag] = RawDataElement(tag, vr, len(padded), padded, 0, False, True)
    return ds


def raw(ds: Dataset, keyword: str) -> bytes:
    value = ds.get_item(Tag(keyword)).value
    assert isinstance(value, bytes)
    return value


def element(keyword: str, value: bytes) -> bytes:
    """Write an element by hand, as explicit VR little endian."""
    tag = Tag(keyword)
    vr = pydicom.datadict.dictionary_VR(tag).encode()
    return struct.pack("<HH2sH", tag.group, tag.element, vr, len(value)) + value


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("charset", NAMES)
def test_names_come_back_byte_for_byte(
    charset: str,
    kind: ObjectKind,
    source: Built,
    radiograph: Callable[..., Radiograph],
    positive: Make,
    context: ReportContext,
    make: Builds,
) -> None:
    name = NAMES[charset]
    ds = with_raw(
        source(), SpecificCharacterSet=charset.encode(), PatientName=name, StudyDescription=name
    )
    made = make(kind, ds, radiograph(ds), (positive(),), context)
    for keyword in ("SpecificCharacterSet", "PatientName", "StudyDescription"):
        assert element(keyword, raw(ds, keyword)) in made.content


@pytest.mark.parametrize(
    ("charset", "institution", "expected"),
    [
        ("ISO_IR 100", "Klinik Süd", "Klinik Süd".encode("latin-1")),
        ("ISO_IR 192", "Klinik Süd 病院", "Klinik Süd 病院".encode()),
        ("GB18030", "医院", "医院".encode("gb18030")),
        ("", "Klinik Süd", b"Klinik S?d"),
        ("ISO_IR 999", "Klinik Süd", b"Klinik S?d"),
        ("ISO_IR 100", "病院 A", b"?? A"),
    ],
)
def test_our_words_keep_to_the_source_s_character_set(
    charset: str,
    institution: str,
    expected: bytes,
    source: Built,
    refused: Findings,
    context: ReportContext,
) -> None:
    ds = with_raw(source(), SpecificCharacterSet=charset.encode())
    made = text_sr.build(
        ExaminedImage(ds, None, (refused,)), replace(context, institution=institution)
    )
    padded = expected + b" " * (len(expected) % 2)
    assert element("InstitutionName", padded) in made.content


@pytest.mark.parametrize("kind", KINDS)
def test_missing_type_2_attributes_are_written_empty(
    kind: ObjectKind, built: Built, positive: Make
) -> None:
    absent = dict.fromkeys(
        ("PatientBirthDate", "StudyID", "ReferringPhysicianName", "AccessionNumber", "StudyTime")
    )
    ds = built(kind, (positive(),), **absent)
    for keyword in absent:
        assert keyword in ds
        assert not ds[keyword].value


def test_malformed_values_are_copied_not_judged(
    source: Built,
    radiograph: Callable[..., Radiograph],
    positive: Make,
    context: ReportContext,
    make: Builds,
) -> None:
    long = b"1.2.826." + b"0123456789" * 7
    ds = with_raw(
        source(),
        StudyInstanceUID=long,
        SOPInstanceUID=b"1.2.letters.03",
        StudyDate=b"1993.02.24",
        PatientAge=b"58",
        PatientSex=b"female",
        InstanceNumber=b"three",
    )
    for kind in KINDS:
        made = make(kind, ds, radiograph(source()), (positive(),), context)
        result = pydicom.dcmread(BytesIO(made.content))
        for keyword in ("StudyInstanceUID", "StudyDate", "PatientAge", "PatientSex"):
            assert raw(result, keyword) == raw(ds, keyword), kind
        assert result.InstanceNumber == 1
        assert b"1.2.letters.03" in made.content
        assert made.sop_instance_uid.startswith("2.25.")


def test_sequences_are_copied_without_private_attributes(built: Built, refused: Findings) -> None:
    other = Dataset()
    other.PatientID, other.TypeOfPatientID = "OTHER", "TEXT"
    other.private_block(0x0011, "ACME", create=True).add_new(1, "LO", "secret")
    ds = built("text_sr", (refused,), OtherPatientIDsSequence=[other], Occupation="Bäcker")
    assert ds.OtherPatientIDsSequence[0].PatientID == "OTHER"
    assert not [element for element in ds.OtherPatientIDsSequence[0] if element.tag.is_private]
    assert ds.Occupation == "Bäcker"


def test_private_attributes_stay_behind(
    source: Built,
    radiograph: Callable[..., Radiograph],
    positive: Make,
    context: ReportContext,
    make: Builds,
) -> None:
    ds = source()
    ds.private_block(0x0011, "ACME", create=True).add_new(1, "LO", "secret")
    for kind in KINDS:
        made = make(kind, ds, radiograph(ds), (positive(),), context)
        assert b"secret" not in made.content
        assert b"ACME" not in made.content


def test_a_broken_sequence_is_left_out(
    source: Built,
    refused: Findings,
    context: ReportContext,
) -> None:
    item = b"\xfe\xff\x00\xe0\x0c\x00\x00\x00"
    content = b"\x10\x00\x20\x00LO\x04\x00ABCD"
    ds = with_raw(source(), OtherPatientIDsSequence=item + content)
    whole = text_sr.build(ExaminedImage(ds, None, (refused,)), context)
    assert b"ABCD" in whole.content
    random = np.random.default_rng(7)
    for _ in range(150):
        damaged = bytearray(item + content)
        damaged[random.integers(len(damaged))] = random.integers(256)
        cut = bytes(damaged[: random.integers(4, len(damaged) + 1)])
        ds = with_raw(source(), OtherPatientIDsSequence=cut)
        made = text_sr.build(ExaminedImage(ds, None, (refused,)), context)
        assert pydicom.dcmread(BytesIO(made.content)).PatientID == "PAT 7"


@pytest.mark.parametrize("kind", KINDS)
def test_source_is_not_changed(
    kind: ObjectKind,
    source: Built,
    radiograph: Callable[..., Radiograph],
    positive: Make,
    context: ReportContext,
    make: Builds,
) -> None:
    ds = source()
    before = deepcopy(ds)
    make(kind, ds, radiograph(ds), (positive(),), context)
    assert ds == before


@pytest.mark.parametrize("kind", KINDS)
def test_a_source_in_other_encodings_gives_the_same(
    kind: ObjectKind,
    source: Built,
    radiograph: Callable[..., Radiograph],
    positive: Make,
    context: ReportContext,
    make: Builds,
) -> None:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "X", "99A", "Thorax"
    ds = source(ProcedureCodeSequence=[code])
    contents = []
    for syntax in ("1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"):
        other = deepcopy(ds)
        other.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
        other.set_original_encoding(None, None)
        buffer = BytesIO()
        pydicom.dcmwrite(buffer, other)
        buffer.seek(0)
        stored = pydicom.dcmread(buffer)
        made = make(kind, stored, radiograph(ds), (positive(),), context)
        contents.append(made.content)
    straight = make(kind, ds, radiograph(ds), (positive(),), context)
    assert contents == [straight.content] * 3


def test_every_result_says_who_made_it(built: Built, positive: Make) -> None:
    for kind in KINDS:
        ds = built(kind, (positive(),))
        assert ds.ManufacturerModelName == NODE_MODEL
        assert ds.Manufacturer == NODE_MODEL
        node, algorithm = ds.ContributingEquipmentSequence
        assert node.ManufacturerModelName == NODE_MODEL
        assert algorithm.ManufacturerModelName == "pneumothorax"
        assert algorithm.SoftwareVersions == "1.2.0"
        assert "ab" * 32 in algorithm.ContributionDescription
        assert algorithm.PurposeOfReferenceCodeSequence[0].CodeValue == "109102"
        assert algorithm.DeviceUID.startswith("2.25.")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ("00", "", "")),
        (
            {
                "LossyImageCompression": "01",
                "LossyImageCompressionMethod": "ISO_15444_1",
                "LossyImageCompressionRatio": "10",
            },
            ("01", "ISO_15444_1", "10"),
        ),
        ({"LossyImageCompression": "01"}, ("01", "", "")),
    ],
)
def test_once_lossy_always_lossy(
    changes: dict[str, str], expected: tuple[str, str, str], built: Built, positive: Make
) -> None:
    for kind in ("seg", "sc"):
        ds = built(kind, (positive(),), **changes)
        found = tuple(
            str(ds.get(f"LossyImageCompression{part}", "")) for part in ("", "Method", "Ratio")
        )
        assert found == expected


def test_a_lossy_transfer_syntax_counts_without_the_flag(source: Built) -> None:
    ds = source()
    assert header_of.lossy(ds) is None
    ds.file_meta.TransferSyntaxUID = pydicom.uid.JPEGBaseline8Bit
    assert header_of.lossy(ds) == ("ISO_10918_1", "")


@pytest.mark.parametrize(
    ("offset", "zone", "expected"),
    [
        ("", UTC, ("20231114", "221320.250000")),
        ("+0530", UTC, ("20231115", "034320.250000")),
        ("-0330", UTC, ("20231114", "184320.250000")),
        ("nonsense", timezone(timedelta(hours=2)), ("20231115", "001320.250000")),
    ],
)
def test_times_are_the_source_s_time_zone(
    offset: str,
    zone: timezone,
    expected: tuple[str, str],
    source: Built,
    refused: Findings,
    context: ReportContext,
) -> None:
    ds = with_raw(source(), TimezoneOffsetFromUTC=offset.encode())
    made = text_sr.build(ExaminedImage(ds, None, (refused,)), replace(context, zone=zone))
    result = pydicom.dcmread(BytesIO(made.content))
    assert (result.ContentDate, result.ContentTime) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {"BodyPartExamined": "CHEST"}),
        ({"BodyPartExamined": None}, {"Laterality": ""}),
        ({"Laterality": "L"}, {"BodyPartExamined": "CHEST", "Laterality": "L"}),
        ({"Laterality": ""}, {"BodyPartExamined": "CHEST"}),
    ],
)
def test_body_part_or_laterality(
    changes: dict[str, str], expected: dict[str, str], built: Built, positive: Make
) -> None:
    ds = built("sc", (positive(),), **changes)
    found = {k: ds[k].value or "" for k in ("BodyPartExamined", "Laterality") if k in ds}
    assert found == expected


def test_series_numbers_and_titles_are_told_apart(
    source: Built,
    radiograph: Callable[..., Radiograph],
    positive: Make,
    context: ReportContext,
    make: Builds,
) -> None:
    ds, own = source(), replace(context, series_numbers=dict.fromkeys(KINDS, 77))
    numbers, series = set(), set()
    for kind in KINDS:
        usual = make(kind, ds, radiograph(ds), (positive(),), context)
        chosen = make(kind, ds, radiograph(ds), (positive(),), own)
        numbers.add(pydicom.dcmread(BytesIO(usual.content)).SeriesNumber)
        series.add(usual.series_uid)
        assert usual.kind == kind
        assert pydicom.dcmread(BytesIO(chosen.content)).SeriesNumber == 77
    assert len(numbers) == len(series) == len(KINDS)


def test_codes_with_long_meanings_are_clipped(built: Built, positive: Make) -> None:
    long = CodedConcept("X1", "99X", "word " * 30)
    ds = built("seg", (positive(code=long),))
    meaning = ds.SegmentSequence[0].SegmentedPropertyTypeCodeSequence[0].CodeMeaning
    assert len(meaning) <= 64
