"""To the network's square and back."""

import numpy as np
import pytest
from numpy.typing import NDArray

from dicom_node.domain.study import Orientation
from pipelines.geometry import normalise, resize, square, standard_from_network

ORIENTATIONS = [
    Orientation("L", "F"),
    Orientation("R", "F"),
    Orientation("L", "H"),
    Orientation("R", "H"),
    Orientation("F", "L"),
    Orientation("F", "R"),
    Orientation("H", "L"),
    Orientation("H", "R"),
]


def spot(shape: tuple[int, int]) -> NDArray[np.float32]:
    """A bright block off every axis of symmetry."""
    image = np.full(shape, 0.2, np.float32)
    image[shape[0] // 8 : shape[0] // 4, shape[1] // 2 : shape[1] * 5 // 8] = 1.0
    return image


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_block_comes_back_where_it_was_stored(orientation: Orientation) -> None:
    stored = spot((256, 384))
    network, geometry = square(stored, orientation, 128)
    assert network.shape == (128, 128)
    found = standard_from_network(network, geometry) > 0.5
    back = np.asarray(geometry.to_stored(found), np.bool_)
    assert back.shape == stored.shape
    drawn = stored > 0.5
    assert 2 * (back & drawn).sum() / (back.sum() + drawn.sum()) > 0.97


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_points_go_the_same_way_as_pixels(orientation: Orientation) -> None:
    stored = spot((256, 384))
    network, geometry = square(stored, orientation, 128)
    rows, columns = np.nonzero(network > 0.5)
    centre = (rows.mean() + 0.5, columns.mean() + 0.5)
    high, wide = geometry.standard_shape
    row, column = geometry.point_to_stored((centre[0] * high / 128, centre[1] * wide / 128))
    drawn_rows, drawn_columns = np.nonzero(stored > 0.5)
    assert row == pytest.approx(drawn_rows.mean() + 0.5, abs=2)
    assert column == pytest.approx(drawn_columns.mean() + 0.5, abs=2)


def test_exposure_and_bit_depth_do_not_matter() -> None:
    random = np.random.default_rng(0)
    image = random.random((64, 64), np.float32)
    assert np.allclose(normalise(image), normalise(image * 0.3 + 0.1), atol=1e-5)
    assert normalise(np.full((8, 8), 0.5, np.float32)).max() == 0


def test_shrinking_does_not_alias() -> None:
    stripes = np.tile(np.asarray([0, 1], np.float32), (512, 256))
    assert np.ptp(resize(stripes, (64, 64))) < 0.05
