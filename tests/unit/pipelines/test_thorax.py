"""Sides, heights and shares by the lungs, on drawn masks and on phantoms."""

import numpy as np
import pytest

from dicom_node.domain.findings import Side
from pipelines.pneumothorax import measure
from pipelines.thorax import UNKNOWN, Thorax

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
