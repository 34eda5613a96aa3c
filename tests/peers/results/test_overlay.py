"""The two forms of the overlay: what differs, and that nothing else does."""

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray

from dicom_node.domain.findings import Findings, Presence
from dicom_node.domain.work import ReportObject
from dicom_node.results.common import ExaminedImage, ReportContext
from dicom_node.results.picture import panel
from dicom_node.results.picture.picture import draw_picture
from dicom_node.results.registry import BUILDERS
from tests.support.samples import findings, radiograph, source
from tests.support.validators import errors_of

PLAIN = ReportContext(1_700_000_000.0, "0.1.0")
CONTOUR = replace(PLAIN, overlay="contour")


def capture(context: ReportContext, known: tuple[Findings, ...]) -> ReportObject:
    made = BUILDERS["sc"](ExaminedImage(source(), radiograph(), known), context)
    assert made is not None
    return made


def pixels(made: ReportObject) -> NDArray[np.uint8]:
    shown: NDArray[np.uint8] = pydicom.dcmread(BytesIO(made.content)).pixel_array
    return shown


def test_both_forms_show_the_same_picture() -> None:
    known = findings()
    picture = np.asarray(draw_picture(radiograph(), known))
    height, width = picture.shape[:2]
    beside, below = pixels(capture(PLAIN, known)), pixels(capture(CONTOUR, known))
    for shown in (beside, below):
        assert np.array_equal(shown[:height, :width], picture)
    assert beside.shape[:2] == (height, width + panel.WIDTHS[0])
    assert below.shape[1] == width
    assert height < below.shape[0] < 1.4 * height


def test_contour_has_uids_of_its_own_and_the_default_keeps_its() -> None:
    known = findings()
    plain, contour = capture(PLAIN, known), capture(CONTOUR, known)
    assert plain.sop_instance_uid != contour.sop_instance_uid
    assert plain.series_uid != contour.series_uid
    assert capture(CONTOUR, known).sop_instance_uid == contour.sop_instance_uid
    for kind in ("seg", "sr", "gsps", "kos", "pdf", "text_sr"):
        made = [
            BUILDERS[kind](ExaminedImage(source(), radiograph(), known), one)
            for one in (PLAIN, CONTOUR)
        ]
        assert made[0] is not None
        assert made[0] == made[1], kind


def test_a_set_per_pipeline_has_uids_of_its_own() -> None:
    known = findings()
    for kind in ("sr", "sc", "pdf"):
        sets = [known, known[:1], known[1:2]]
        made = [BUILDERS[kind](ExaminedImage(source(), radiograph(), one), PLAIN) for one in sets]
        assert len({one.sop_instance_uid for one in made if one is not None}) == 3, kind
        assert len({one.series_uid for one in made if one is not None}) == 3, kind


def test_legend_names_marks_negatives_and_refusals() -> None:
    assert [line.text for line in panel.legend(findings())] == [
        "URGENT",
        "Pneumothorax: PRESENT, right, probability 0.93",
        "a: distance 19.8 mm",
        "Mass: PRESENT, probability 0.60",
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
        made = BUILDERS["sc"](ExaminedImage(other, radiograph(), findings()), context)
        assert made is not None
        assert b"HIDDEN7" not in made.content
        assert np.array_equal(pixels(made), mine)


@pytest.mark.peers
def test_contour_overlay_is_valid(tmp_path: Path) -> None:
    path = tmp_path / "sc.dcm"
    path.write_bytes(capture(CONTOUR, findings(urgent=False)).content)
    assert errors_of(path) == set()


def test_what_two_pipelines_look_for_is_told_apart() -> None:
    first, second, _ = findings()
    again = replace(
        first.findings[0], presence=Presence.ABSENT, probability=0.1, segment=None, measurements=()
    )
    known = (first, replace(second, findings=(again,)))
    said = [line.text for line in panel.legend(known)]
    assert said[1].startswith("Pneumothorax (pneumothorax): PRESENT")
    assert said[-1] == "Not detected: pneumothorax (chest_findings)"
    beside = [line.text for line in panel.panel_lines(radiograph(), known, "Made now")]
    assert "Pneumothorax (pneumothorax): PRESENT" in beside
    assert "Pneumothorax (chest_findings): not detected" in beside
