"""From a radiograph to the network's input, and back.

All tasks see a radiograph through the same square; what is here is what
several of them need beside it.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.pneumothorax.preprocess import (
    Geometry,
    network_input,
    refuse_empty,
    square,
    standard_from_network,
)

__all__ = ["Geometry", "network_input", "open_square", "refuse_empty", "square", "to_stored"]


def open_square(path: Path, size: int) -> NDArray[np.float32]:
    """Open a picture file as the network's 0..1 square; its view is the standard one."""
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("L"), np.float32) / np.float32(255)
    return square(pixels, None, size)[0]


def to_stored(shares: NDArray[np.float32], geometry: Geometry, level: float) -> NDArray[np.bool_]:
    """Draw a map of the network's grid as a mask in stored pixel order."""
    standard = standard_from_network(shares, geometry) > level
    return np.ascontiguousarray(geometry.to_stored(standard), dtype=np.bool_)
