"""From a radiograph to the network's input, and back.

All tasks see a radiograph through the same square; what is here is what
several of them need beside it.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dicom_node.domain.errors import NotAnalysable
from pipelines.pneumothorax.preprocess import (
    LEAST_CONTRAST,
    Geometry,
    network_input,
    square,
    standard_from_network,
)

LEAST_SIDE = 64

__all__ = ["Geometry", "network_input", "open_square", "refuse_empty", "square", "to_stored"]


def refuse_empty(pixels: NDArray[np.float32]) -> None:
    """Raise NotAnalysable for an image without content."""
    if pixels.ndim != 2 or min(pixels.shape) < LEAST_SIDE:
        raise NotAnalysable(f"image of {'x'.join(map(str, pixels.shape))} pixels is too small")
    if not np.isfinite(pixels).all():
        raise NotAnalysable("pixels are not finite")
    if float(np.ptp(pixels)) < LEAST_CONTRAST:
        raise NotAnalysable("image has no contrast")


def open_square(path: Path, size: int) -> NDArray[np.float32]:
    """Open a picture file as the network's 0..1 square; its view is the standard one."""
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("L"), np.float32) / np.float32(255)
    return square(pixels, None, size)[0]


def to_stored(shares: NDArray[np.float32], geometry: Geometry, level: float) -> NDArray[np.bool_]:
    """Draw a map of the network's grid as a mask in stored pixel order."""
    standard = standard_from_network(shares, geometry) > level
    return np.ascontiguousarray(geometry.to_stored(standard), dtype=np.bool_)
