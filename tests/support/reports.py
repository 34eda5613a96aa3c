"""Synthetic sources and findings for the result objects."""

import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from dicom_node.domain import codes
from dicom_node.domain.findings import (
    Algorithm,
    Finding,
    Findings,
    Measurement,
    OperatingPoint,
    Presence,
    Segment,
    Side,
)
from dicom_node.domain.study import InstanceRef, Orientation, Radiograph, Spacing
from dicom_node.domain.work import ObjectKind, ReportObject
from dicom_node.formats.dicom.part10 import TYPE_2
from dicom_node.results.common import ExaminedImage, ReportContext
from dicom_node.results.registry import BUILDERS
from tests.support.validators import state_errors

CR = "1.2.840.10008.5.1.4.1.1.1"
DX = "1.2.840.10008.5.1.4.1.1.1.1"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
ALGORITHM = Algorithm("pneumothorax", "1.2.0", "ab" * 32)
POINT = OperatingPoint("balanced", 0.42, 0.88, 0.9)

CALIBRATED = Spacing(0.2, 0.2)
UPRIGHT = Orientation("L", "F")

MakeSource = Callable[..., Dataset]
MakeRadiograph = Callable[..., Radiograph]


def _header(**changes: object) -> Dataset:
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.SOPClassUID, ds.SOPInstanceUID = CR, "1.2.826.0.1.3680043.8.498.1"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.826.0.1.3680043.8.498.2", "1.2.826.0.1.3.1"
    ds.Modality, ds.SeriesNumber, ds.InstanceNumber = "CR", "1", "3"
    ds.PatientName, ds.PatientID, ds.PatientSex = "Müller^Anna", "PAT 7", "F"
    ds.PatientBirthDate, ds.PatientAge = "19500601", "070Y"
    ds.StudyDate, ds.StudyTime, ds.StudyID = "20240102", "101112", "S1"
    ds.AccessionNumber, ds.ReferringPhysicianName = "ACC1", "Arzt^B"
    ds.BodyPartExamined, ds.ViewPosition = "CHEST", "PA"
    ds.PatientOrientation = ["L", "F"]
    ds.Manufacturer, ds.PhotometricInterpretation = "Maker", "MONOCHROME2"
    ds.SamplesPerPixel, ds.Rows, ds.Columns = 1, 401, 513
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.PixelSpacing = ["0.2", "0.2"]
    for keyword, value in changes.items():
        if value is None:
            del ds[keyword]
        else:
            setattr(ds, keyword, value)
    return ds


def _reread(ds: Dataset) -> Dataset:
    """Give the header as a reader sees it: unparsed, with File Meta."""
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    buffer = BytesIO()
    pydicom.dcmwrite(buffer, ds, enforce_file_format=True)
    buffer.seek(0)
    return pydicom.dcmread(buffer)


@pytest.fixture
def source() -> MakeSource:
    """Make a source header; keywords change attributes, None removes them."""
    return lambda **changes: _reread(_header(**changes))


@pytest.fixture
def radiograph() -> MakeRadiograph:
    """Make a radiograph for a source header."""

    def make(
        ds: Dataset,
        shape: tuple[int, int] = (401, 513),
        spacing: Spacing | None = CALIBRATED,
        orientation: Orientation | None = UPRIGHT,
    ) -> Radiograph:
        rows, columns = np.indices(shape, dtype=np.float32)
        wave = 0.5 + 0.3 * np.sin(rows / 40) * np.cos(columns / 60)
        ref = InstanceRef(ds.SOPClassUID, ds.SOPInstanceUID)
        return Radiograph(wave.astype(np.float32), ref, spacing, orientation, "PA")

    return make


def mask_at(shape: tuple[int, int]) -> np.ndarray:
    """Draw an L of whole rows and columns that no flip maps onto itself."""
    mask = np.zeros(shape, bool)
    height, width = shape
    mask[height // 8 : height // 2, width // 8 : width // 4] = True
    mask[height // 2 - 9 : height // 2, width // 8 : width // 2 + 1] = True
    return mask


def positive_for(shape: tuple[int, int], **changes: object) -> Finding:
    """Make a pneumothorax with a region and an area and a distance."""
    line = ((shape[0] / 4, shape[1] / 8 + 0.5), (shape[0] / 4, shape[1] / 4 - 0.5))
    given: dict[str, object] = {
        "code": codes.PNEUMOTHORAX,
        "presence": Presence.PRESENT,
        "probability": 0.93,
        "operating_point": POINT,
        "site": codes.PLEURA,
        "side": Side.RIGHT,
        "urgent": True,
        "measurements": (
            Measurement(codes.AREA, 3373.94, codes.SQUARE_MILLIMETRE, "area"),
            Measurement(
                codes.DISTANCE,
                47.83,
                codes.MILLIMETRE,
                "maximal interpleural distance",
                codes.MAXIMUM,
                line,
            ),
        ),
        "segment": Segment(mask_at(shape), "Pneumothorax"),
        "size_class": "large (BTS: 2 cm or more at the hilum)",
    }
    return Finding(**{**given, **changes})  # type: ignore[arg-type]


@pytest.fixture
def positive() -> Callable[..., Findings]:
    """Make positive findings for an image of this shape."""
    return lambda shape=(401, 513), **changes: Findings(
        ALGORITHM, (positive_for(shape, **changes),), notes=("AP view",)
    )


@pytest.fixture
def negative() -> Findings:
    """Give the findings of a normal radiograph."""
    finding = Finding(codes.PNEUMOTHORAX, Presence.ABSENT, 0.034, POINT, codes.PLEURA)
    return Findings(ALGORITHM, (finding,))


@pytest.fixture
def refused() -> Findings:
    """Give the outcome of a pipeline that declined."""
    return Findings(ALGORITHM, not_analysed="lateral view")


@pytest.fixture
def context() -> ReportContext:
    """Give a fixed context: results depend on nothing else."""
    return ReportContext(1_700_000_000.25, "0.1.0", "CXRAI", "Klinik Süd", zone=UTC)


@pytest.fixture
def make() -> Callable[..., ReportObject]:
    """Build one kind of result that has something to say."""

    def build(
        kind: ObjectKind,
        ds: Dataset,
        image: Radiograph | None,
        findings: tuple[Findings, ...],
        context: ReportContext,
    ) -> ReportObject:
        made = BUILDERS[kind](ExaminedImage(ds, image, findings), context)
        assert made is not None
        return made

    return build


@pytest.fixture
def built(
    source: MakeSource, radiograph: MakeRadiograph, context: ReportContext
) -> Callable[..., Dataset | None]:
    """Build one kind of result for a source with changes, and parse it."""

    def build(
        kind: ObjectKind,
        findings: tuple[Findings, ...],
        image: Callable[[Dataset], Radiograph | None] = radiograph,
        **changes: object,
    ) -> Dataset | None:
        ds = source(**changes)
        made = BUILDERS[kind](ExaminedImage(ds, image(ds), findings), context)
        return None if made is None else pydicom.dcmread(BytesIO(made.content))

    return build


def items_of(ds: Dataset) -> Iterator[Dataset]:
    """Walk a report's content items, the root first."""
    yield ds
    for one in ds.get("ContentSequence", []):
        yield from items_of(one)


@pytest.fixture
def tree() -> Callable[..., list[Dataset]]:
    """List a report's content items, of one value type and concept where given."""

    def find(ds: Dataset, value_type: str = "", concept: str = "") -> list[Dataset]:
        return [
            one
            for one in items_of(ds)
            if value_type in ("", one.ValueType)
            and concept in ("", one.ConceptNameCodeSequence[0].CodeValue)
        ]

    return find


def _errors(path: Path) -> list[str]:
    """Give dciodvfy's error lines of a file."""
    ran = subprocess.run(
        ["dciodvfy", "-new", str(path)], capture_output=True, text=True, errors="replace"
    )
    return [line for line in (ran.stdout + ran.stderr).splitlines() if line.startswith("Error")]


@pytest.fixture
def complaints(tmp_path: Path) -> Callable[[Path, list[ReportObject]], list[str]]:
    """List what dicom3tools and DCMTK have against the results of a source file.

    What the source is blamed for too was copied; a missing attribute is never excused.
    """

    def check(source_file: Path, results: list[ReportObject]) -> list[str]:
        said: list[str] = []
        copied = [line for line in _errors(source_file) if "Missing attribute" not in line]
        paths: list[Path] = []
        # a refusal is the same object for "sr" and "text_sr", sent once
        for made in {one.sop_instance_uid: one for one in results}.values():
            path = tmp_path / f"{made.kind}-{len(paths)}.dcm"
            path.write_bytes(made.content)
            paths.append(path)
            said += [f"{made.kind}: {line}" for line in _errors(path) if line not in copied]
            if made.kind in ("sr", "text_sr", "kos"):
                said += _unreadable(path)
            if made.kind == "gsps":
                said += state_errors(path, source_file)
        return said + _differences(source_file, paths)

    return check


def _unreadable(path: Path) -> list[str]:
    """Say what DCMTK cannot read of a document."""
    runs = [
        subprocess.run([tool, str(path)], capture_output=True, text=True, errors="replace")
        for tool in ("dsrdump", "dsr2html")
    ]
    return [ran.stderr for ran in runs if ran.returncode or "E:" in ran.stderr]


def _differences(source_file: Path, paths: list[Path]) -> list[str]:
    """Say where results and source tell different stories of patient and study."""
    header = pydicom.dcmread(source_file, stop_before_pixels=True)
    ran = subprocess.run(
        ["dcentvfy", str(source_file), *map(str, paths)], capture_output=True, text=True
    )
    # SR keeps AccessionNumber in two places: the one difference that STANDARDS.md excuses
    excused = ["<AccessionNumber> IE"]
    excused += [
        f"one instance but not the other - Element=<{keyword}>"
        for keyword in TYPE_2
        if keyword not in header
    ]
    lines = (ran.stdout + ran.stderr).splitlines()
    return [line for line in lines if not any(one in line for one in excused)]
