"""From a radiograph to the network's input, and boxes back.

The square is that of the pneumothorax task: turned to the standard orientation,
squeezed, and stretched between two percentiles of its own grey levels.
"""

import numpy as np
from numpy.typing import NDArray

from dicom_node.domain.errors import NotAnalysable
from dicom_node.domain.findings import Box
from pipelines.pneumothorax.preprocess import (
    LEAST_CONTRAST,
    Geometry,
    network_input,
    resize,
    square,
    standard_from_network,
)

__all__ = ["Geometry", "network_input", "resize", "square", "standard_from_network"]
LEAST_SIDE = 64


def refuse_empty(pixels: NDArray[np.float32]) -> None:
    """Raise NotAnalysable for an image without content."""
    if pixels.ndim != 2 or min(pixels.shape) < LEAST_SIDE:
        raise NotAnalysable(f"image of {'x'.join(map(str, pixels.shape))} pixels is too small")
    if not np.isfinite(pixels).all():
        raise NotAnalysable("pixels are not finite")
    if float(np.ptp(pixels)) < LEAST_CONTRAST:
        raise NotAnalysable("image has no contrast")


def box_to_stored(box: Box, geometry: Geometry) -> Box:
    """Carry a box in shares of the standard image (0..1) to stored pixels."""
    rows, columns = geometry.standard_shape
    corners = [
        geometry.point_to_stored((y * rows, x * columns))
        for y, x in ((box.y, box.x), (box.y + box.height, box.x + box.width))
    ]
    top, bottom = sorted(row for row, _ in corners)
    left, right = sorted(column for _, column in corners)
    return Box(left, top, right - left, bottom - top, box.score)
