"""Every kind of result for every kind of source, before other people's validators."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset

from dicom_node.domain import codes
from dicom_node.domain.findings import Algorithm, Box, Findings, Side
from dicom_node.domain.study import Orientation, Radiograph, Spacing, SRClass
from dicom_node.domain.work import ReportObject
from dicom_node.results.common import ExaminedImage, ReportContext
from dicom_node.results.registry import BUILDERS

pytestmark = pytest.mark.peers

DX: dict[str, object] = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1", "Modality": "DX"}
CAPTURE: dict[str, object] = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7", "ConversionType": "WSD"}
TYPE_2 = ("PatientBirthDate", "PatientSex", "StudyID", "ReferringPhysicianName", "AccessionNumber")
SOURCES: dict[str, dict[str, object]] = {
    "cr": {},
    "dx": DX,
    "secondary capture": CAPTURE,
    "monochrome1": {"PhotometricInterpretation": "MONOCHROME1"},
    "no spacing": {"PixelSpacing": None},
    "magnified": {
        "PixelSpacing": None,
        "ImagerPixelSpacing": ["0.2", "0.2"],
        "EstimatedRadiographicMagnificationFactor": "1.1",
    },
    "mirrored": {"PatientOrientation": ["R", "F"]},
    "no side": {"PatientOrientation": ["P", "F"]},
    "no orientation": {"PatientOrientation": None},
    "no body part": {"BodyPartExamined": None},
    "latin": {"PatientName": "Müller^Anna"},
    "utf-8": {"SpecificCharacterSet": "ISO_IR 192", "PatientName": "Müller^Анна"},
    "gb18030": {"SpecificCharacterSet": "GB18030", "PatientName": "Wang^XiaoDong=王^小东"},
    "japanese": {
        "SpecificCharacterSet": ["", "ISO 2022 IR 87"],
        "PatientName": "Yamada^Tarou=山田^太郎",
    },
    "nobody": {"PatientID": "", "PatientName": ""},
    "type 2 missing": dict.fromkeys(TYPE_2),
    "lossy": {
        "LossyImageCompression": "01",
        "LossyImageCompressionRatio": "10",
        "LossyImageCompressionMethod": "ISO_10918_1",
    },
}
SILENT: dict[str, set[str]] = {
    "negative": {"seg", "gsps", "kos"},
    "refused": {"seg", "sc", "gsps", "kos"},
    "two": set(),
    "many": set(),
}
Radiographs = Callable[..., Radiograph]
Make = Callable[..., Findings]
Complaints = Callable[[Path, list[ReportObject | None]], list[str]]


@pytest.fixture
def stored(source: Callable[..., Dataset], tmp_path: Path) -> Callable[..., tuple[Path, Dataset]]:
    """Write a source header to a file."""

    def store(**changes: object) -> tuple[Path, Dataset]:
        ds = source(**changes)
        pydicom.dcmwrite(tmp_path / "source.dcm", ds)
        return tmp_path / "source.dcm", ds

    return store


def image_of(ds: Dataset, radiograph: Radiographs) -> Radiograph:
    orientation = ds.get("PatientOrientation")
    return radiograph(
        ds,
        spacing=Spacing(0.2, 0.2) if "PixelSpacing" in ds or "ImagerPixelSpacing" in ds else None,
        orientation=Orientation(*orientation) if orientation else None,
    )


@pytest.mark.parametrize("kind_of_source", SOURCES)
def test_positive_for_every_kind_of_source(
    kind_of_source: str,
    stored: Callable[..., tuple[Path, Dataset]],
    radiograph: Radiographs,
    positive: Make,
    context: ReportContext,
    complaints: Complaints,
) -> None:
    path, ds = stored(**SOURCES[kind_of_source])
    image = image_of(ds, radiograph)
    made = [build(ExaminedImage(ds, image, (positive(),)), context) for build in BUILDERS.values()]
    assert None not in made
    assert complaints(path, made) == []


def outcomes(
    positive: Make, negative: Findings, refused: Findings
) -> dict[str, tuple[Findings, ...]]:
    effusion = Findings(
        Algorithm("effusion", "2.0", "cd" * 32),
        positive(code=codes.PLEURAL_EFFUSION, side=Side.LEFT, urgent=False).findings,
    )
    nodules = Findings(
        Algorithm("nodules", "0.1", "ef" * 32),
        positive(
            code=codes.NODULE,
            side=Side.UNDETERMINED,
            segment=None,
            measurements=(),
            boxes=(Box(30.5, 40, 20, 20, 0.8), Box(200, 100, 9, 9, 0.5)),
        ).findings,
    )
    return {
        "negative": (negative,),
        "refused": (refused,),
        "two": (positive(), effusion),
        "many": (positive(side=Side.BOTH), negative, nodules, refused),
    }


@pytest.mark.parametrize("outcome", SILENT)
def test_every_outcome(
    outcome: str,
    stored: Callable[..., tuple[Path, Dataset]],
    radiograph: Radiographs,
    positive: Make,
    negative: Findings,
    refused: Findings,
    context: ReportContext,
    complaints: Complaints,
) -> None:
    path, ds = stored()
    findings = outcomes(positive, negative, refused)[outcome]
    image = None if outcome == "refused" else radiograph(ds)
    results = {
        kind: build(ExaminedImage(ds, image, findings), context) for kind, build in BUILDERS.items()
    }
    silent = {kind for kind, made in results.items() if made is None}
    assert silent == SILENT[outcome]
    other: tuple[SRClass, ...] = ("comprehensive3d", "enhanced")
    reports = [
        BUILDERS["sr"](ExaminedImage(ds, image, findings), replace(context, sr_class=sr_class))
        for sr_class in other
    ]
    said = (*results.values(), *reports)
    assert complaints(path, [made for made in said if made is not None]) == []
