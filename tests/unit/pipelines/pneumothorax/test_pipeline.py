"""The pneumothorax pipeline: geometry with a known map, reading with the model."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dicom_node.domain.errors import BadSettings, NotAnalysable
from dicom_node.domain.findings import Presence, Side
from dicom_node.domain.study import Orientation, Radiograph, Spacing
from pipelines.pneumothorax.pipeline import PneumothoraxPipeline, load
from tests.support.readings import named, only

Answering = Callable[..., PneumothoraxPipeline]
SIZE = 320


def rim() -> NDArray[np.float32]:
    """A map with a rim on the image's left, 32 wide and 160 high."""
    shares = np.zeros((SIZE, SIZE), np.float32)
    shares[32:192, 16:48] = 1.0
    return shares


@pytest.mark.parametrize(
    ("turn", "place", "side"),
    [
        (("L", "F"), (slice(30, 180), slice(20, 60)), Side.RIGHT),
        (("R", "F"), (slice(30, 180), slice(340, 380)), Side.RIGHT),
        (("L", "H"), (slice(120, 270), slice(20, 60)), Side.RIGHT),
        (("F", "L"), (slice(15, 45), slice(40, 240)), Side.RIGHT),
        (("H", "R"), (slice(255, 285), slice(160, 360)), Side.RIGHT),
    ],
)
def test_a_known_mask_comes_back_at_its_stored_place(
    answering: Answering,
    noise: Radiograph,
    turn: tuple[str, str],
    place: tuple[slice, slice],
    side: Side,
) -> None:
    finding = only(answering(rim()), replace(noise, orientation=Orientation(*turn)))
    expected = np.zeros(noise.pixels.shape, np.bool_)
    expected[place] = True
    assert finding.segment is not None
    overlap = (finding.segment.mask & expected).sum()
    assert 2 * overlap / (finding.segment.mask.sum() + expected.sum()) > 0.96
    assert finding.side is side


@pytest.mark.parametrize("turn", [("L", "F"), ("R", "F"), ("H", "R"), ("F", "L")])
def test_measurements_are_those_of_the_drawn_mask(
    answering: Answering, noise: Radiograph, turn: tuple[str, str]
) -> None:
    spacing = Spacing(0.5, 1.5)
    film = replace(noise, orientation=Orientation(*turn), spacing=spacing)
    finding = only(answering(rim()), film)
    assert finding.segment is not None
    assert named(finding, "area").value == finding.segment.mask.sum() * 0.75
    assert named(finding, "area").value == pytest.approx(0.05 * 300 * 400 * 0.75, rel=0.03)
    gap = named(finding, "maximal interpleural distance")
    assert gap.line is not None
    (row, column), (other_row, other_column) = gap.line
    along = np.hypot((row - other_row) * 0.5, (column - other_column) * 1.5)
    assert gap.value == pytest.approx(along)
    wide = 0.1 * (400 * 1.5 if turn[0] in "LR" else 300 * 0.5)
    assert gap.value == pytest.approx(wide, rel=0.05)
    apex = named(finding, "apex-to-cupola distance")
    high = 0.5 * (300 * 0.5 if turn[0] in "LR" else 400 * 1.5)
    assert apex.value == pytest.approx(high, rel=0.02)
    assert finding.segment.mask[int((row + other_row) / 2), int((column + other_column) / 2)]


def test_without_spacing_no_millimetres_and_without_orientation_no_side(
    answering: Answering, noise: Radiograph
) -> None:
    bare = replace(noise, spacing=None, orientation=None)
    findings = answering(rim()).read(bare)
    (finding,) = findings.findings
    assert finding.presence is Presence.PRESENT
    assert finding.segment is not None
    assert finding.measurements == ()
    assert finding.size_class == ""
    assert finding.side is Side.UNDETERMINED
    assert any("no pixel spacing" in note for note in findings.notes)
    assert any("side is undetermined" in note for note in findings.notes)


def test_detector_plane_and_ap_view_are_noted(answering: Answering, noise: Radiograph) -> None:
    film = replace(noise, spacing=Spacing(0.2, 0.2, "detector"), view_position="AP")
    notes = answering(rim()).read(replace(film, notes=("portable",))).notes
    assert notes[0] == "portable"
    assert any("detector plane" in note for note in notes)
    assert any("AP view" in note for note in notes)


def test_both_sides_and_crumbs(answering: Answering, noise: Radiograph) -> None:
    both = rim() + rim()[:, ::-1]
    both[300:303, 100:103] = 1.0
    finding = only(answering(both), noise)
    assert finding.side is Side.BOTH
    assert finding.segment is not None
    assert not finding.segment.mask[275:, :].any()


def test_an_absent_finding_has_neither_mask_nor_measurement(
    answering: Answering, noise: Radiograph
) -> None:
    finding = only(answering(rim(), logit=-20.0), noise)
    assert finding.presence is Presence.ABSENT
    assert finding.probability < 0.05
    assert not finding.urgent
    assert finding.segment is None
    assert finding.measurements == ()
    assert finding.side is Side.UNDETERMINED


def test_a_positive_reading_may_lack_a_mask(answering: Answering, noise: Radiograph) -> None:
    finding = only(answering(np.zeros((SIZE, SIZE), np.float32)), noise)
    assert finding.presence is Presence.PRESENT
    assert finding.urgent
    assert finding.segment is None
    assert finding.side is Side.UNDETERMINED


def test_images_without_content_are_not_analysed(
    pipeline: PneumothoraxPipeline, noise: Radiograph
) -> None:
    for pixels in (
        np.full((300, 300), 0.4, np.float32),
        np.zeros((20, 300), np.float32),
        np.full((300, 300), np.nan, np.float32),
    ):
        with pytest.raises(NotAnalysable):
            pipeline.read(replace(noise, pixels=pixels))


def test_a_folder_without_the_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="pneumothorax"):
        load(tmp_path)
