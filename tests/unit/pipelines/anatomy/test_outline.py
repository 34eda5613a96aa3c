"""Outlines of known shapes: parted lungs, widths and the ratio."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pipelines.anatomy.outline import Outline, inner_width, meant, outline, separate

Mask = NDArray[np.bool_]


def blank() -> Mask:
    return np.zeros((100, 100), np.bool_)


def lungs() -> Mask:
    mask = blank()
    mask[20:80, 10:40] = True
    mask[20:85, 60:95] = True
    return mask


def heart() -> Mask:
    mask = blank()
    mask[55:80, 38:70] = True
    return mask


def test_the_ratio_is_heart_over_thorax() -> None:
    found = outline(lungs(), heart())
    assert found.thorax_width is not None
    assert (found.thorax_width.first, found.thorax_width.last) == (10.0, 95.0)
    assert 20 < found.thorax_width.row < 80
    assert found.heart_width is not None
    assert found.heart_width.cells == 32.0
    assert found.ratio == pytest.approx(32 / 85)


def test_crumbs_change_nothing() -> None:
    littered_lungs, littered_heart = lungs(), heart()
    littered_lungs[1:4, 96:99] = True
    littered_heart[2:5, 2:5] = True
    found = outline(littered_lungs, littered_heart)
    assert found.ratio == pytest.approx(32 / 85)
    assert not found.heart[2, 2]
    assert (meant(littered_lungs) == lungs()).all()


def test_lungs_that_touch_are_parted_between_them() -> None:
    bridged = lungs()
    bridged[30:33, 40:60] = True
    right, left = separate(bridged)
    assert right[:, :40].sum() == 60 * 30
    assert left[:, 60:].sum() == 65 * 35
    assert not (right & left).any()
    assert ((right | left) == bridged).all()


def test_a_small_part_goes_to_its_side() -> None:
    mask = lungs()
    mask[10:16, 20:40] = True
    right, left = separate(mask)
    assert right[10:16, 20:40].all()
    assert left.sum() == 65 * 35


@pytest.mark.parametrize("missing", ["right", "left", "heart"])
def test_without_a_part_there_is_no_ratio(missing: str) -> None:
    whole = outline(lungs(), heart())
    parts = {"right": whole.right_lung, "left": whole.left_lung, "heart": whole.heart}
    parts[missing] = blank()
    assert Outline(parts["right"], parts["left"], parts["heart"]).ratio is None


def test_nothing_is_outlined_on_nothing() -> None:
    found = outline(blank(), blank())
    assert not found.right_lung.any()
    assert not found.left_lung.any()
    assert found.ratio is None


def test_lungs_one_above_the_other_have_no_width() -> None:
    upper, lower = blank(), blank()
    upper[5:40, 10:40] = True
    lower[50:90, 60:90] = True
    assert inner_width(upper, lower) is None
