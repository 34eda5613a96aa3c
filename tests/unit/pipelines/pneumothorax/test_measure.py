"""Sides, distances, size classes."""

import numpy as np
import pytest

from dicom_node.domain.findings import Side
from pipelines.pneumothorax import measure
from pipelines.pneumothorax.measure import Scale

SCALE = Scale(2.0, 1.0)


def block(rows: slice, columns: slice, shape: tuple[int, int] = (100, 100)) -> measure.Mask:
    mask = np.zeros(shape, np.bool_)
    mask[rows, columns] = True
    return mask


def test_sides() -> None:
    right, left = block(slice(10, 40), slice(10, 20)), block(slice(10, 40), slice(80, 90))
    crumb = block(slice(50, 52), slice(80, 82))
    assert measure.side_of(right) is Side.RIGHT
    assert measure.side_of(left) is Side.LEFT
    assert measure.side_of(right | left) is Side.BOTH
    assert measure.side_of(right | crumb) is Side.RIGHT
    assert measure.side_of(np.zeros((9, 9), np.bool_)) is Side.UNDETERMINED


def test_crumbs_and_doubts_are_dropped() -> None:
    rim, crumb = block(slice(10, 40), slice(10, 20)), block(slice(60, 63), slice(60, 63))
    other = block(slice(10, 40), slice(80, 90))
    shares = np.float32(0.9) * rim + np.float32(0.9) * crumb + np.float32(0.4) * other
    assert np.array_equal(measure.plausible(shares.astype(np.float32), 0.3), rim)
    equal = (0.9 * (rim | other)).astype(np.float32)
    assert np.array_equal(measure.plausible(equal, 0.3), rim | other)
    assert not measure.plausible(block(slice(0, 1), slice(0, 1)).astype(np.float32), 0.3).any()


@pytest.mark.parametrize("width", [4, 7, 10])
def test_the_gap_is_measured_across_the_rim(width: int) -> None:
    rim = block(slice(10, 70), slice(20, 20 + width))
    gap = measure.interpleural(rim, SCALE)
    assert gap.length_mm == pytest.approx(width, abs=1.0)
    assert abs(gap.start[0] - gap.end[0]) < 1e-9  # straight across
    ends = sorted((gap.start[1], gap.end[1]))
    assert ends == pytest.approx([20, 20 + width], abs=1)


def test_the_gap_knows_unequal_spacing() -> None:
    lying = block(slice(10, 15), slice(10, 90))
    assert measure.interpleural(lying, SCALE).length_mm == pytest.approx(10, abs=2.0)


def test_apex_to_cupola() -> None:
    apical = block(slice(12, 22), slice(15, 40))
    apex = measure.apex_to_cupola(apical, SCALE)
    assert apex is not None
    assert apex.length_mm == pytest.approx(20.0)
    assert (apex.start[0], apex.end[0]) == (12.0, 22.0)
    assert measure.apex_to_cupola(block(slice(60, 80), slice(5, 9)), SCALE) is None


def test_size_classes_follow_the_guidelines() -> None:
    large = block(slice(12, 60), slice(10, 35))
    words = measure.size_class(large, SCALE, measure.apex_to_cupola(large, SCALE))
    assert words.startswith("large (BTS 2010: 25 mm")
    assert "large (ACCP 2001: 96 mm" in words
    small = block(slice(12, 20), slice(10, 35))
    words = measure.size_class(small, SCALE, measure.apex_to_cupola(small, SCALE))
    assert words.startswith("small (BTS 2010: 0 mm")
    assert "small (ACCP 2001: 16 mm" in words
