"""Boxes from a map: connected regions about its peaks."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dicom_node.domain.findings import Box
from pipelines.geometry import resize

FINE = 112
"""Maps are smoothed up to this grid, so that borders fall between cells."""
LEAST_PEAK = 0.05
"""A map that is nowhere above this shows nothing."""
SECOND_PEAK = 0.7
"""A second region is told when its peak reaches this share of the first's."""

Map = NDArray[np.float32]
Flags = NDArray[np.bool_]


def refined(shares: Map) -> Map:
    """Smooth a map (h, w) up to the grid that regions are cut on."""
    return resize(np.asarray(shares, np.float32), (FINE, FINE))


def regions(fine: Map, fraction: float, most: int = 1) -> list[Flags]:
    """Cut the regions above `fraction` of the peak, highest first."""
    peak = float(fine.max())
    if peak < LEAST_PEAK:
        return []
    numbered, count = ndimage.label(fine > fraction * peak)
    tops = np.asarray(ndimage.maximum(fine, numbered, range(1, count + 1)))
    chosen = [n for n in np.argsort(-tops, kind="stable")[:most] if tops[n] >= SECOND_PEAK * peak]
    return [np.asarray(numbered == n + 1, np.bool_) for n in chosen]


def box_of(region: Flags, score: float) -> Box:
    """Give a region's bounds in shares of the image (0..1)."""
    rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    high, wide = region.shape
    top, bottom = rows[0] / high, (rows[-1] + 1) / high
    left, right = columns[0] / wide, (columns[-1] + 1) / wide
    return Box(float(left), float(top), float(right - left), float(bottom - top), score)


def boxes_of(shares: Map, fraction: float, most: int = 1) -> list[Box]:
    """Find boxes in a map, in shares of the image; the score ranks them.

    A box scores the height of its peak: on training and validation that ranked
    boxes of different findings better than the findings' probabilities did.
    """
    fine = refined(shares)
    return [box_of(region, float(fine[region].max())) for region in regions(fine, fraction, most)]


def overlap(box: Box, other: Box) -> float:
    """Give the intersection over the union of two boxes."""
    wide = min(box.x + box.width, other.x + other.width) - max(box.x, other.x)
    high = min(box.y + box.height, other.y + other.height) - max(box.y, other.y)
    shared = max(wide, 0.0) * max(high, 0.0)
    total = box.width * box.height + other.width * other.height - shared
    return shared / total if total > 0 else 0.0
