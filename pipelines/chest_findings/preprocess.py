"""From a radiograph to the network's input, and boxes back.

The square is that of the pneumothorax task: turned to the standard orientation,
squeezed, and stretched between two percentiles of its own grey levels.
"""

from dicom_node.domain.findings import Box
from pipelines.pneumothorax.preprocess import (
    Geometry,
    network_input,
    refuse_empty,
    resize,
    square,
    standard_from_network,
)

__all__ = ["Geometry", "network_input", "refuse_empty", "resize", "square", "standard_from_network"]


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
