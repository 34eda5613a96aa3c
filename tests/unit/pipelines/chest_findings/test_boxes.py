"""Boxes: from a map to regions, to stored pixels, to figures."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from dicom_node.domain.findings import Box
from dicom_node.domain.study import Orientation
from pipelines.chest_findings.boxes import boxes_of, overlap, refined, regions
from pipelines.chest_findings.readings import Marked, recall_at
from pipelines.geometry import box_to_stored, square


def bump(top: int, left: int, height: float = 0.8) -> NDArray[np.float32]:
    """A map of 28 cells with a plateau of 8 x 4 cells."""
    shares = np.full((28, 28), 0.01, np.float32)
    shares[top : top + 8, left : left + 4] = height
    return shares


def test_a_plateau_gives_its_bounds() -> None:
    (box,) = boxes_of(bump(4, 6), 0.5)
    assert box.y == pytest.approx(4 / 28, abs=0.01)
    assert box.x == pytest.approx(6 / 28, abs=0.01)
    assert box.height == pytest.approx(8 / 28, abs=0.02)
    assert box.width == pytest.approx(4 / 28, abs=0.02)
    assert box.score == pytest.approx(0.8, abs=0.01)


def test_a_second_region_must_be_nearly_as_high() -> None:
    high = np.maximum(bump(4, 6), bump(16, 20, 0.7))
    low = np.maximum(bump(4, 6), bump(16, 20, 0.45))
    assert [box.x < 0.5 for box in boxes_of(high, 0.5, most=2)] == [True, False]
    assert len(boxes_of(high, 0.5)) == 1
    assert len(boxes_of(low, 0.5, most=2)) == 1


def test_a_map_without_a_peak_has_no_region() -> None:
    assert regions(refined(np.full((28, 28), 0.02, np.float32)), 0.5) == []


@pytest.mark.parametrize(
    ("turn", "place"),
    [
        (("L", "F"), (40.0, 60.0, 80.0, 90.0)),
        (("R", "F"), (280.0, 60.0, 80.0, 90.0)),
        (("L", "H"), (40.0, 150.0, 80.0, 90.0)),
        # Stored columns run down the patient: rows and columns change places.
        (("F", "L"), (80.0, 30.0, 120.0, 60.0)),
    ],
)
def test_a_box_comes_back_at_its_stored_place(
    turn: tuple[str, str], place: tuple[float, float, float, float]
) -> None:
    pixels = np.random.default_rng(0).random((300, 400), np.float32)
    _, geometry = square(pixels, Orientation(*turn), 64)
    box = box_to_stored(Box(0.1, 0.2, 0.2, 0.3, 0.5), geometry)
    assert (box.x, box.y, box.width, box.height) == pytest.approx(place)
    assert box.score == 0.5


def test_a_box_covers_what_the_pixels_under_it_show() -> None:
    standard = np.zeros((300, 400), np.float32)
    standard[60:150, 40:120] = 1.0
    for turn in (("L", "F"), ("R", "H"), ("H", "R"), ("F", "L")):
        orientation = Orientation(*turn)
        stored = np.asarray(orientation.from_standard(standard), np.float32)
        _, geometry = square(stored, orientation, 64)
        box = box_to_stored(Box(0.1, 0.2, 0.2, 0.3, 1.0), geometry)
        top, left = round(box.y), round(box.x)
        inside = stored[top : top + round(box.height), left : left + round(box.width)]
        assert inside.size == 90 * 80
        assert inside.all()


def test_overlap_is_intersection_over_union() -> None:
    one = Box(0, 0, 2, 2, 1)
    assert overlap(one, one) == 1
    assert overlap(one, Box(1, 0, 2, 2, 1)) == pytest.approx(1 / 3)
    assert overlap(one, Box(5, 5, 1, 1, 1)) == 0


def test_recall_counts_boxes_met_before_the_wrong_ones_are_used_up() -> None:
    """Two images, two expert boxes: right, wrong, wrong, right, wrong."""
    found = Marked(
        images=np.array([0, 0, 1, 1, 1]),
        scores=np.array([0.9, 0.8, 0.7, 0.6, 0.5]),
        met=np.array([0, -1, -1, 1, -1]),
        expert_images=np.array([0, 1]),
        patients=("a", "b"),
    )
    both = np.array([0, 1])
    assert recall_at(found, both, 0.0) == 0.5
    assert recall_at(found, both, 0.5) == 0.5
    assert recall_at(found, both, 1.0) == 1.0
    assert recall_at(found, np.array([0, 0]), 1.0) == 1.0
    assert recall_at(found, np.array([1, 1]), 0.5) == 0.0
    nothing = replace(found, expert_images=np.array([], np.int64))
    assert np.isnan(recall_at(nothing, both, 1.0))
