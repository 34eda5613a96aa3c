"""Each variant of a film through the real pipeline, then the public validators."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydicom
import pytest

from tests.support import validators
from tests.support.variants import LOSSY, SPACING_MM, VARIANTS, Read

pytestmark = [pytest.mark.peers, pytest.mark.data]
KINDS = ("seg", "sr", "text_sr", "sc", "gsps", "kos", "pdf")
Reads = Callable[[str], Read]


@pytest.mark.parametrize("name", VARIANTS)
def test_every_object_is_valid(name: str, read: Reads, tmp_path: Path) -> None:
    one = read(name)
    objects = [one.object(kind) for kind in KINDS]
    allowed = validators.errors_of(one.source)
    for path in objects:
        assert validators.errors_of(path) - allowed == set(), path.name
    assert validators.entity_errors([one.source, *objects]) == set()
    # iconv, which DCMTK converts with here, knows no ISO 2022 IR 87
    options = ("--read-file",) if name == "japanese" else ()
    for kind in ("sr", "text_sr", "kos"):
        validators.structured_report(one.object(kind), *options)
    assert validators.state_errors(one.object("gsps"), one.source) == []


@pytest.mark.parametrize("name", VARIANTS)
def test_the_patient_is_named_in_every_script(name: str, read: Reads, tmp_path: Path) -> None:
    one = read(name)
    patient = pydicom.dcmread(one.source, stop_before_pixels=True)
    for kind in KINDS:
        ds = pydicom.dcmread(one.object(kind), stop_before_pixels=True)
        assert (ds.PatientName, ds.PatientID) == (patient.PatientName, patient.PatientID)
    page = page_of(one, tmp_path)
    assert "NOT FOR DIAGNOSTIC USE" in page
    written, *_ = str(patient.PatientName).partition("=やまだ")  # how it sounds is not printed
    for part in written.replace("=", "^").split("^"):
        assert part in page
        if patient.get("SpecificCharacterSet") in ("ISO_IR 100", "ISO_IR 192"):
            assert part in validators.structured_report(one.object("text_sr"))


def page_of(one: Read, folder: Path) -> str:
    path = folder / "report.pdf"
    path.write_bytes(pydicom.dcmread(one.object("pdf")).EncapsulatedDocument)
    return validators.printed(path)


def pneumothorax(one: Read) -> dict[str, Any]:
    finding: dict[str, Any] = one.result["findings"][0]
    assert finding["code"]["meaning"] == "Pneumothorax"
    assert finding["present"] == "present"
    return finding


def sizes(one: Read) -> dict[str, float]:
    return {m["name"]: m["value"] for m in pneumothorax(one)["measurements"]}


@pytest.mark.parametrize("name", VARIANTS)
def test_the_side_follows_the_patient_and_never_the_columns(name: str, read: Reads) -> None:
    expected = "undetermined" if name in ("no side", "no orientation") else "right"
    assert pneumothorax(read(name))["side"] == expected


def test_coding_and_mirroring_change_nothing(read: Reads) -> None:
    plain = read("cr").result["findings"]
    for name in ("monochrome1", "utf-8", "gb18030", "japanese", "nobody"):
        assert read(name).result["findings"] == plain, name
    assert sizes(read("mirrored")) == sizes(read("cr"))


def test_millimetres_need_a_spacing_and_heed_the_magnification(read: Reads) -> None:
    plain, magnified = sizes(read("cr")), sizes(read("magnified"))
    for name in ("no spacing", "all at once"):
        assert set(sizes(read(name))) == {"share of the hemithorax"}
    assert magnified["area"] == pytest.approx(plain["area"] / 1.1**2, rel=1e-3)
    seg = pydicom.dcmread(read("cr").object("seg"))
    counted = float(seg.pixel_array.sum()) * SPACING_MM**2
    assert plain["area"] == pytest.approx(counted, rel=1e-3)


def test_a_lossy_source_is_marked_in_what_comes_from_its_pixels(read: Reads) -> None:
    for kind in ("seg", "sc"):
        ds = pydicom.dcmread(read("lossy").object(kind), stop_before_pixels=True)
        assert {keyword: ds[keyword].value for keyword in LOSSY} == LOSSY
        plain = pydicom.dcmread(read("cr").object(kind), stop_before_pixels=True)
        assert plain.get("LossyImageCompression", "00") == "00"
