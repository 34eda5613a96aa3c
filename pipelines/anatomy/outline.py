"""Right and left lung, heart, and how wide they are.

All geometry is in the standard orientation (image left is the patient's right)
on the network's grid.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label

Mask = NDArray[np.bool_]
Shares = NDArray[np.float32]

LEAST_OF_LARGEST = 0.12
"""A component smaller than this share of the largest one is noise."""
CENTRE = (0.3, 0.7)
"""Where between the lungs' outer borders the mediastinum is looked for."""
LEAST_LUNG = 0.01
"""A lung smaller than this share of the film was not outlined."""
LEAST_HEART = 0.005


@dataclass(frozen=True, slots=True)
class Width:
    """A horizontal line on the grid: its row and the columns of its ends."""

    row: float
    first: float
    last: float

    @property
    def cells(self) -> float:
        """Length in cells."""
        return self.last - self.first


@dataclass(frozen=True, slots=True)
class Outline:
    """Lungs and heart on the grid (rows, columns)."""

    right_lung: Mask
    left_lung: Mask
    heart: Mask

    @property
    def thorax_width(self) -> Width | None:
        """The widest row from the right lung's outer border to the left one's."""
        return inner_width(self.right_lung, self.left_lung)

    @property
    def heart_width(self) -> Width | None:
        """From the heart's right border to its left one, wherever each lies."""
        if self.heart.mean() < LEAST_HEART:
            return None
        columns = np.flatnonzero(self.heart.any(axis=0))
        first, last = int(columns[0]), int(columns[-1])
        rows = [float(np.flatnonzero(self.heart[:, column]).mean()) for column in (first, last)]
        return Width(sum(rows) / 2 + 0.5, float(first), last + 1.0)

    @property
    def ratio(self) -> float | None:
        """The cardiothoracic ratio."""
        heart, thorax = self.heart_width, self.thorax_width
        return None if heart is None or thorax is None else heart.cells / thorax.cells


def outline(lungs: Mask, heart: Mask) -> Outline:
    """Separate the lungs and keep the heart's largest part."""
    right, left = separate(meant(lungs))
    return Outline(right, left, largest(heart))


def meant(mask: Mask) -> Mask:
    """Drop components that are small beside the largest."""
    numbered, sizes = _components(mask)
    return mask if not len(sizes) else (sizes >= LEAST_OF_LARGEST * sizes.max())[numbered]


def largest(mask: Mask) -> Mask:
    """Keep the largest component."""
    numbered, sizes = _components(mask)
    return mask if not len(sizes) else np.asarray(numbered == int(np.argmax(sizes)), np.bool_)


def separate(lungs: Mask) -> tuple[Mask, Mask]:
    """Part the lungs into the patient's right and left one.

    The cut is the column between them that holds least lung; a component that
    lies mostly on one side of it belongs to that side as a whole.
    """
    nothing = np.zeros_like(lungs)
    columns = np.flatnonzero(lungs.any(axis=0))
    if not len(columns):
        return nothing, nothing.copy()
    first, last = int(columns[0]), int(columns[-1]) + 1
    low, high = (round(first + share * (last - first)) for share in CENTRE)
    profile = lungs[:, low : max(high, low + 1)].sum(axis=0)
    # Of equally empty columns, the one in the middle.
    middle = low + round(float(np.flatnonzero(profile == profile.min()).mean()))
    right, left = nothing, nothing.copy()
    numbered, count = label(lungs)
    for number in range(1, count + 1):
        part = numbered == number
        share = float(part[:, :middle].sum() / part.sum())
        if share > 0.9:
            right |= part
        elif share < 0.1:
            left |= part
        else:
            right[:, :middle] |= part[:, :middle]
            left[:, middle:] |= part[:, middle:]
    return right, left


def inner_width(right: Mask, left: Mask) -> Width | None:
    """Give the widest row that crosses both lungs, border to border."""
    if min(right.mean(), left.mean()) < LEAST_LUNG:
        return None
    rows = np.flatnonzero(right.any(axis=1) & left.any(axis=1))
    if not len(rows):
        return None
    starts = np.argmax(right[rows], axis=1)
    ends = left.shape[1] - np.argmax(left[rows][:, ::-1], axis=1)
    widest = int(np.argmax(ends - starts))
    return Width(float(rows[widest]) + 0.5, float(starts[widest]), float(ends[widest]))


def _components(mask: Mask) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Label the components; sizes by number, the background's is 0."""
    numbered, count = label(mask)
    if count == 0:
        return numbered, np.zeros(0, np.int64)
    sizes = np.bincount(numbered.ravel())
    sizes[0] = 0
    return numbered, sizes
