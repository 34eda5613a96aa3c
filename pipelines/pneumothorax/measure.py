"""Sides, distances and size class of a pneumothorax mask.

All geometry is in the standard orientation (image left is the patient's right)
on the network's grid; `Scale` turns cells into millimetres.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, label

from dicom_node.domain.findings import Side
from pipelines.thorax import UNKNOWN, Thorax

Mask = NDArray[np.bool_]
Point = tuple[float, float]

LEAST_SHARE = 0.0004
"""A component smaller than this share of the film is noise."""
LEAST_OF_LARGEST = 0.5
"""A component lighter than this share of the heaviest is doubt; best Dice on validation."""
SUBSTANTIAL = 0.25
"""Both sides are named when the lesser holds this share of the greater."""
APEX_BAND = 0.30
"""A mask whose top lies below this share of the film does not reach the apex."""
BTS_LARGE_MM = 20.0
"""BTS guideline 2010: 2 cm or more between lung and chest wall at the hilum."""
ACCP_LARGE_MM = 30.0
"""ACCP consensus 2001: 3 cm or more from the lung's apex to the cupola."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Height and width of one grid cell, mm."""

    row_mm: float
    column_mm: float


@dataclass(frozen=True, slots=True)
class Distance:
    """A length with its ends, (row, column) on the grid; cell centres at .5."""

    length_mm: float
    start: Point
    end: Point


def plausible(shares: NDArray[np.float32], threshold: float) -> Mask:
    """Cut a probability map, and keep the components that are meant.

    A component counts by its summed probability: a doubtful shadow at the other
    apex goes, a second pneumothorax stays.
    """
    mask = shares > threshold
    numbered, count = label(mask)
    if count == 0:
        return mask
    cells = np.bincount(numbered.ravel())
    weights = np.bincount(numbered.ravel(), weights=shares.ravel())
    weights[0] = 0.0
    kept = (cells >= LEAST_SHARE * mask.size) & (weights >= LEAST_OF_LARGEST * weights.max())
    kept[0] = False
    return np.asarray(kept[numbered], np.bool_)


def side_of(mask: Mask, thorax: Thorax = UNKNOWN) -> Side:
    """Name the patient's side; every component counts where its centre lies."""
    midline = thorax.midline(mask.shape[1])
    numbered, count = label(mask)
    if count == 0:
        return Side.UNDETERMINED
    on_right, on_left = 0, 0
    for number in range(1, count + 1):
        columns = np.nonzero(numbered == number)[1]
        if columns.mean() + 0.5 < midline:
            on_right += len(columns)
        else:
            on_left += len(columns)
    lesser, greater = sorted((on_right, on_left))
    if lesser >= SUBSTANTIAL * greater:
        return Side.BOTH
    return Side.RIGHT if on_right > on_left else Side.LEFT


def interpleural(mask: Mask, scale: Scale) -> Distance:
    """Measure the widest gap between the pleurae.

    That is the diameter of the largest circle in the mask: across the rim, not
    along it, whatever its direction. The line runs from the nearest border
    through the circle's centre.
    """
    padded = np.pad(mask, 1)
    depth, nearest = distance_transform_edt(
        padded, sampling=(scale.row_mm, scale.column_mm), return_indices=True
    )
    row, column = np.unravel_index(int(np.argmax(depth)), depth.shape)
    # The transform counts to the centre of the first outside cell: the border
    # itself lies half a cell before it.
    towards = np.array([nearest[0, row, column] - row, nearest[1, row, column] - column], float)
    towards *= 1 - 0.5 / np.abs(towards).max()
    centre = np.array([row - 0.5, column - 0.5])  # unpadded, cell centres at .5
    length = 2 * float(np.hypot(towards[0] * scale.row_mm, towards[1] * scale.column_mm))
    start, end = centre + towards, centre - towards
    return Distance(length, (float(start[0]), float(start[1])), (float(end[0]), float(end[1])))


def apex_to_cupola(mask: Mask, scale: Scale) -> Distance | None:
    """Measure straight down from the cupola to the lung's apex.

    The cupola is the mask's highest point; None where that lies too low on the
    film to be the top of the pleural space.
    """
    rows = np.nonzero(mask.any(axis=1))[0]
    if len(rows) == 0 or rows[0] >= APEX_BAND * mask.shape[0]:
        return None
    top = int(rows[0])
    across = np.nonzero(mask[top])[0]
    column = int(across[len(across) // 2])
    below = np.nonzero(~mask[top:, column])[0]
    run = int(below[0]) if len(below) else mask.shape[0] - top
    start, end = (float(top), column + 0.5), (float(top + run), column + 0.5)
    return Distance(run * scale.row_mm, start, end)


def at_hilum_mm(mask: Mask, scale: Scale, thorax: Thorax = UNKNOWN) -> float:
    """Give the widest horizontal gap at the height of the hila, per side."""
    gaps = [
        float(half[hilum].sum(axis=1).max())
        for half, hilum in zip(thorax.halves(mask), thorax.hila(mask), strict=True)
    ]
    return max(gaps) * scale.column_mm


def size_class(mask: Mask, scale: Scale, apex: Distance | None, thorax: Thorax = UNKNOWN) -> str:
    """Name the size in the two guidelines' words."""
    hilum_mm = at_hilum_mm(mask, scale, thorax)
    bts = "large" if hilum_mm >= BTS_LARGE_MM else "small"
    words = [f"{bts} (BTS 2010: {hilum_mm:.0f} mm at the hilum, limit 20 mm)"]
    if apex is not None:
        accp = "large" if apex.length_mm >= ACCP_LARGE_MM else "small"
        words.append(f"{accp} (ACCP 2001: {apex.length_mm:.0f} mm apex to cupola, limit 30 mm)")
    return "; ".join(words)
