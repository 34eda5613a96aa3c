"""The digital phantom: repeatable, and true to its own masks."""

from functools import partial

import numpy as np
import pytest

from pipelines.phantom.chest import chest_phantom

SIDE = 384
film = partial(chest_phantom, rows=SIDE, columns=SIDE)


def test_the_same_seed_gives_the_same_film() -> None:
    first, again = film(5, "left"), film(5, "left")
    other = film(6, "left")
    assert np.array_equal(first.pixels, again.pixels)
    assert not np.array_equal(first.pixels, other.pixels)


def test_pixels_are_twelve_bit_and_air_is_dark() -> None:
    phantom = film(7)
    assert phantom.pixels.dtype == np.uint16
    assert phantom.pixels.max() <= 4095
    lungs = np.median(phantom.display()[phantom.lungs_mask])
    spine = np.median(phantom.display()[200:260, 187:197])
    assert lungs < 0.5 * spine
    assert phantom.display().dtype == np.float32
    assert 0 <= phantom.display().min() <= phantom.display().max() <= 1


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(("condition", "image_half"), [("right", 0), ("left", 1)])
def test_the_pneumothorax_lies_in_its_own_pleural_space(
    seed: int, condition: str, image_half: int
) -> None:
    phantom = film(seed, condition)  # type: ignore[arg-type]
    mask = phantom.pneumothorax_mask
    assert mask.any()
    assert (mask & ~phantom.lungs_mask).sum() <= 0.01 * mask.sum()
    middle = SIDE // 2
    halves = (mask[:, :middle].sum(), mask[:, middle:].sum())
    assert halves[image_half] > 0.98 * mask.sum()
    top_of_lungs = np.nonzero(phantom.lungs_mask.any(axis=1))[0][0]
    assert np.nonzero(mask.any(axis=1))[0][0] <= top_of_lungs + 6


def test_air_is_darker_than_the_lung_it_displaced_and_the_rest_is_the_same_person() -> None:
    well, ill = film(9), film(9, "right", severity=0.8)
    assert np.array_equal(well.lungs_mask, ill.lungs_mask)
    assert not well.pneumothorax_mask.any()
    inside = ill.pneumothorax_mask
    other_lung = ill.lungs_mask.copy()
    other_lung[:, : SIDE // 2] = False
    # The two films share detector and anatomy, so the healthy side is the yardstick.
    gap_ill = np.median(ill.display()[inside]) - np.median(ill.display()[other_lung])
    gap_well = np.median(well.display()[inside]) - np.median(well.display()[other_lung])
    assert gap_ill < gap_well - 0.02


def test_severity_and_film_size() -> None:
    rim = film(4, "left", severity=0.25)
    large = film(4, "left", severity=1.0)
    assert large.pneumothorax_mask.sum() > 2 * rim.pneumothorax_mask.sum()
    tall = chest_phantom(4, rows=500, columns=400)
    assert tall.pixels.shape == tall.lungs_mask.shape == (500, 400)
    assert tall.spacing_mm == pytest.approx(0.7)
