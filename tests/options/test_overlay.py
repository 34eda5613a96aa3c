"""The two forms of the overlay: what differs, and that nothing else does."""

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray

from dicom_node.domain import codes
from dicom_node.domain.findings import (
    Algorithm,
    Box,
    Finding,
    Findings,
    Measurement,
    OperatingPoint,
    Presence,
    Segment,
    Side,
)
from dicom_node.domain.study import InstanceRef, Orientation, Radiograph, Spacing
from dicom_node.domain.work import ReportObject
from dicom_node.reports import panel, sc
from dicom_node.reports.attributes import item
from dicom_node.reports.common import ReportContext
from dicom_node.reports.picture import drawn
from dicom_node.reports.registry import BUILDERS
from tests.validators import errors_of

SHAPE = (600, 500)
POINT = OperatingPoint("balanced", 0.42, 0.88, 0.9)
PLAIN = ReportContext(1_700_000_000.0, "0.1.0")
CONTOUR = replace(PLAIN, overlay="contour")


def source() -> pydicom.Dataset:
    ds = item(
        SpecificCharacterSet="ISO_IR 100",
        SOPClassUID="1.2.840.10008.5.1.4.1.1.1",
        SOPInstanceUID="2.25.1",
        StudyInstanceUID="2.25.2",
        SeriesInstanceUID="2.25.3",
        Modality="CR",
        PatientName="Secret^Person",
        PatientID="HIDDEN7",
        PatientBirthDate="",
        PatientSex="O",
        StudyDate="20240102",
        StudyTime="101112",
        StudyID="1",
        AccessionNumber="A1",
        ReferringPhysicianName="",
        PatientOrientation=["L", "F"],
    )
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    return ds


def radiograph() -> Radiograph:
    rows, columns = np.indices(SHAPE, dtype=np.float32)
    wave = 0.5 + 0.3 * np.sin(rows / 40) * np.cos(columns / 60)
    ref = InstanceRef("1.2.840.10008.5.1.4.1.1.1", "2.25.1")
    return Radiograph(wave.astype(np.float32), ref, Spacing(0.2, 0.2), Orientation("L", "F"))


def findings(*, urgent: bool = True) -> tuple[Findings, ...]:
    mask = np.zeros(SHAPE, np.bool_)
    mask[100:200, 100:200] = True
    line = ((150.0, 100.5), (150.0, 199.5))
    air = Finding(
        codes.PNEUMOTHORAX,
        Presence.PRESENT,
        0.93,
        POINT,
        codes.PLEURA,
        Side.RIGHT,
        urgent,
        (Measurement(codes.DISTANCE, 19.8, codes.MILLIMETRE, "distance", codes.MAXIMUM, line),),
        Segment(mask, "Pneumothorax"),
    )
    box = Box(300, 300, 60, 80, 0.7)
    mass = Finding(codes.MASS, Presence.PRESENT, 0.6, POINT, codes.LUNG, boxes=(box,))
    effusion = Finding(codes.PLEURAL_EFFUSION, Presence.ABSENT, 0.1, POINT, codes.PLEURA)
    return (
        Findings(Algorithm("pneumothorax", "1.0", "ab" * 32), (air,)),
        Findings(Algorithm("chest_findings", "1.0", "cd" * 32), (mass, effusion)),
        Findings(Algorithm("pneumonia", "1.0", "ef" * 32), not_analysed="a child"),
    )


def capture(context: ReportContext, known: tuple[Findings, ...]) -> ReportObject:
    made = BUILDERS["sc"](source(), radiograph(), known, context)
    assert made is not None
    return made


def pixels(made: ReportObject) -> NDArray[np.uint8]:
    shown: NDArray[np.uint8] = pydicom.dcmread(BytesIO(made.content)).pixel_array
    return shown


def test_both_forms_show_the_same_picture() -> None:
    known = findings()
    picture = np.asarray(drawn(radiograph(), known))
    height, width = picture.shape[:2]
    beside, below = pixels(capture(PLAIN, known)), pixels(capture(CONTOUR, known))
    for shown in (beside, below):
        assert np.array_equal(shown[:height, :width], picture)
    assert beside.shape[:2] == (height, width + sc.PANEL_WIDTH)
    assert below.shape[1] == width
    assert height < below.shape[0] < 1.4 * height


def test_contour_has_uids_of_its_own_and_the_default_keeps_its() -> None:
    known = findings()
    plain, contour = capture(PLAIN, known), capture(CONTOUR, known)
    assert plain.sop_instance_uid != contour.sop_instance_uid
    assert plain.series_uid != contour.series_uid
    assert capture(CONTOUR, known).sop_instance_uid == contour.sop_instance_uid
    for kind in ("seg", "sr", "gsps", "kos", "pdf", "text_sr"):
        made = [BUILDERS[kind](source(), radiograph(), known, one) for one in (PLAIN, CONTOUR)]
        assert made[0] is not None
        assert made[0] == made[1], kind


def test_a_set_per_pipeline_has_uids_of_its_own() -> None:
    known = findings()
    for kind in ("sr", "sc", "pdf"):
        sets = [known, known[:1], known[1:2]]
        made = [BUILDERS[kind](source(), radiograph(), one, PLAIN) for one in sets]
        assert len({one.sop_instance_uid for one in made if one is not None}) == 3, kind
        assert len({one.series_uid for one in made if one is not None}) == 3, kind


def test_legend_names_marks_negatives_and_refusals() -> None:
    assert [line.text for line in panel.legend(findings())] == [
        "URGENT",
        "Pneumothorax: PRESENT, right, probability 0.93",
        "a: distance 19.8 mm",
        "Mass: PRESENT, probability 0.6",
        "Not detected: pleural effusion",
        "Not analysed by pneumonia: a child",
    ]
    shown = np.asarray(panel.caption(findings(), 700)).astype(int)
    colours = {line.swatch for line in panel.legend(findings()) if line.swatch is not None}
    assert len(colours) == 2
    for colour in colours:
        assert (abs(shown - colour).sum(axis=2) == 0).sum() > 100
    notice = shown[-2 * panel.PAD :]
    assert (abs(notice - panel.NOTICE).sum(axis=2) < 30).any()


def test_an_overlay_does_not_depend_on_the_patient() -> None:
    for context in (PLAIN, CONTOUR):
        mine = pixels(capture(context, findings()))
        other = source()
        other.PatientName, other.PatientID, other.AccessionNumber = "Else^Someone", "9", "B2"
        made = BUILDERS["sc"](other, radiograph(), findings(), context)
        assert made is not None
        assert b"HIDDEN7" not in made.content
        assert np.array_equal(pixels(made), mine)


@pytest.mark.peers
def test_contour_overlay_is_valid(tmp_path: Path) -> None:
    path = tmp_path / "sc.dcm"
    path.write_bytes(capture(CONTOUR, findings(urgent=False)).content)
    assert errors_of(path) == set()
