"""Sides, heights and shares by the lungs, on drawn masks and on phantoms."""

from pathlib import Path

import numpy as np
import pytest

from dicom_node.domain.findings import Side
from pipelines.anatomy import pipeline as anatomy
from pipelines.phantom.chest import Condition, chest_phantom
from pipelines.pneumothorax import measure, pipeline
from pipelines.thorax import UNKNOWN, Thorax, find_thorax
from tests.support.readings import standard_film

SIZE = 100
SCALE = measure.Scale(2.0, 2.0)


def block(rows: slice, columns: slice) -> measure.Mask:
    mask = np.zeros((SIZE, SIZE), np.bool_)
    mask[rows, columns] = True
    return mask


RIGHT, LEFT = block(slice(20, 80), slice(25, 50)), block(slice(20, 70), slice(60, 90))
TURNED = Thorax(RIGHT, LEFT)
"""A patient who stands to one side: the mediastinum lies at column 56, not at 50."""


def test_the_side_follows_the_lungs_not_the_film() -> None:
    gap = block(slice(30, 40), slice(46, 56))  # crosses the film's middle, in the right half
    assert measure.side_of(gap) is Side.LEFT
    assert measure.side_of(gap, TURNED) is Side.RIGHT


def test_the_hilum_is_the_middle_of_the_lung_that_the_gap_belongs_to() -> None:
    apical = block(slice(20, 30), slice(25, 45))
    central = block(slice(46, 48), slice(25, 40))
    assert measure.at_hilum_mm(apical, SCALE, TURNED) == 0.0
    assert measure.at_hilum_mm(central, SCALE, TURNED) == 15 * 2.0
    collapsed = Thorax(block(slice(60, 80), slice(40, 50)), LEFT)
    around = block(slice(20, 80), slice(25, 40))
    assert measure.at_hilum_mm(around, SCALE, collapsed) == 15 * 2.0


def test_the_share_counts_lung_and_gap_together() -> None:
    gap = block(slice(20, 40), slice(25, 50))
    assert TURNED.share(gap) == pytest.approx(20 / 60)
    beside = block(slice(20, 80), slice(5, 25))  # what the outline left out is hemithorax, too
    assert TURNED.share(beside) == pytest.approx(20 / 45)
    assert UNKNOWN.share(gap) is None


def test_what_lies_outside_the_rib_cage_is_doubted() -> None:
    assert TURNED.holds(block(slice(20, 40), slice(25, 50)))
    assert TURNED.holds(block(slice(30, 40), slice(50, 60)))  # the mediastinum lies inside
    assert not TURNED.holds(block(slice(88, 98), slice(25, 50)))
    assert not TURNED.holds(block(slice(0, 12), slice(0, 12)))
    assert UNKNOWN.holds(block(slice(0, 12), slice(0, 12)))


def test_an_empty_film_has_no_thorax(models_dir: Path) -> None:
    outlines = anatomy.load(models_dir, "cpu")
    film = standard_film(np.full((128, 128), 0.5, np.float32))
    assert find_thorax(outlines, film, 64) == UNKNOWN
    assert find_thorax(None, film, 64) == UNKNOWN


@pytest.mark.parametrize(("condition", "side"), [("right", Side.RIGHT), ("left", Side.LEFT)])
def test_a_phantom_gets_its_share(models_dir: Path, condition: Condition, side: Side) -> None:
    phantom = chest_phantom(3, condition, rows=512, columns=512)
    radiograph = standard_film(phantom.display(), phantom.spacing_mm)
    reader = pipeline.load(models_dir, "cpu", anatomy=anatomy.load(models_dir, "cpu"))
    (finding,) = reader.read(radiograph).findings
    assert finding.side is side
    (share,) = (one for one in finding.measurements if one.name == "share of the hemithorax")
    half = phantom.lungs_mask.copy()
    middle = phantom.lungs_mask.shape[1] // 2
    half[:, middle:] = half[:, middle:] & (condition == "left")
    half[:, :middle] = half[:, :middle] & (condition == "right")
    truth = phantom.pneumothorax_mask.sum() / (half | phantom.pneumothorax_mask).sum()
    assert share.unit.value == "%"
    assert share.value == pytest.approx(100 * truth, abs=10)
    lonely = pipeline.load(models_dir, "cpu").read(radiograph).findings[0]
    assert lonely.probability == finding.probability
    assert all(one.name != share.name for one in lonely.measurements)
