"""Stored values to the image that a viewer shows by default.

All of the grayscale pipeline (PS3.3 C.11, PS3.4 N.2) depends on a pixel's stored
value alone. So it is computed once for every value that 8 or 16 bits can hold, and
the image is looked up in the result.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from dicom_node.domain.errors import NotAnalysable
from dicom_node.formats.dicom.attributes import text
from dicom_node.formats.dicom.pixels.decode import Patterns
from dicom_node.formats.dicom.pixels.lut import Values, modality, voi_table, voi_window, words
from dicom_node.formats.dicom.pixels.module import PixelModule

ROWS_AT_ONCE = 64
"""Few enough that a block stays in the processor's cache."""
LOWEST_SHARE, HIGHEST_SHARE = 0.005, 0.995
"""What the window without a header's word clips: markers, collimator edges."""
LEAST_CONTRAST = 0.1
"""Part of the grey range between the darkest and brightest hundredth of the image."""
LEAST_CONTRAST_8_BIT = 0.5
LEAST_GREY = 0.1
"""Part of the image that must be neither black nor white."""


@dataclass(frozen=True, slots=True)
class Display:
    """A float32 image in 0..1, air dark, and what to know about it."""

    pixels: NDArray[np.float32]
    notes: tuple[str, ...]


def display(
    ds: Dataset, patterns: Patterns, values: NDArray[np.int32], module: PixelModule
) -> Display:
    """Render bit patterns; `values[p]` is the stored value of pattern `p`.

    Raises NotAnalysable for a blank image and for a damaged Modality LUT.
    """
    padding = _padding(ds, values, module.signed)
    seen = np.where(padding, 0, _count(patterns, len(values)))
    if not seen.any():
        raise NotAnalysable("image is blank: padding only")
    measured = modality(ds, values.astype(np.float64), module.signed)
    if measured is None:
        raise NotAnalysable("modality LUT or rescale slope is damaged")
    darkest, brightest = _quantiles(measured, seen, (0.01, 0.99))
    if darkest == brightest:
        raise NotAnalysable("image is blank")
    as_stored = module.bits_stored == 8 and np.array_equal(measured, values)
    shown, notes = _voi(ds, measured, seen, as_stored)
    inverted, doubts = _polarity(ds)
    shown = 1 - shown if inverted else shown
    shown[padding] = 0  # background (C.7.5.1.1.2), dark as air
    return Display(_look_up(shown.astype(np.float32), patterns), (*notes, *doubts))


def _padding(ds: Dataset, values: NDArray[np.int32], signed: bool) -> NDArray[np.bool_]:
    """Mark the values of Pixel Padding Value up to its Range Limit."""
    ends = [words(ds, name)[:1] for name in ("PixelPaddingValue", "PixelPaddingRangeLimit")]
    given = [int(end.astype(np.int16)[0] if signed else end[0]) for end in ends if end.size]
    if not ends[0].size:
        return np.zeros(len(values), np.bool_)
    return (values >= min(given)) & (values <= max(given))


def _voi(
    ds: Dataset, measured: Values, seen: NDArray[np.int64], as_stored: bool
) -> tuple[Values, tuple[str, ...]]:
    """Choose VOI LUT, window, or what the image itself suggests."""
    by_header = "VOILUTSequence" in ds or bool(text(ds, "WindowCenter"))
    for transform in (voi_table, voi_window):
        shown = transform(ds, measured)
        if shown is not None and _is_readable(shown, seen, LEAST_CONTRAST):
            return shown, ()
    if as_stored and not by_header:
        # 8-bit values without any transformation are made to be shown as they are
        shown = np.clip(measured / 255, 0, 1)
        if _is_readable(shown, seen, LEAST_CONTRAST_8_BIT):
            return shown, ()
    low, high = _quantiles(measured, seen, (LOWEST_SHARE, HIGHEST_SHARE))
    shown = np.clip((measured - low) / (high - low), 0, 1)
    return shown, ("window of the header is unusable: grey range of the image",) * by_header


def _is_readable(shown: Values, seen: NDArray[np.int64], least_contrast: float) -> bool:
    darkest, brightest = _quantiles(shown, seen, (0.01, 0.99))
    grey = seen[(shown > 1 / 512) & (shown < 511 / 512)].sum() / seen.sum()
    return brightest - darkest >= least_contrast and bool(grey >= LEAST_GREY)


def _quantiles(
    values: Values, seen: NDArray[np.int64], shares: tuple[float, float]
) -> tuple[float, float]:
    """Give the values below which these shares of the pixels lie."""
    present = np.flatnonzero(seen)
    order = present[np.argsort(values[present])]
    summed = np.cumsum(seen[order])
    low, high = (values[order[np.searchsorted(summed, share * summed[-1])]] for share in shares)
    return float(low), float(high)


def _polarity(ds: Dataset) -> tuple[bool, tuple[str, ...]]:
    """Whether the smallest value is white, and whether the header is in two minds.

    MONOCHROME1 goes with INVERSE, MONOCHROME2 with IDENTITY (C.8.11.3.1.2); either
    word for "inverse" counts where they disagree.
    """
    first = text(ds, "PhotometricInterpretation").upper() == "MONOCHROME1"
    shape = text(ds, "PresentationLUTShape").upper()
    disagree = (first and shape == "IDENTITY") or (not first and shape == "INVERSE")
    doubt = "photometric interpretation and presentation LUT shape disagree"
    return first or shape == "INVERSE", (doubt,) * disagree


def _count(patterns: Patterns, size: int) -> NDArray[np.int64]:
    counts = np.zeros(size, np.int64)
    for row in range(0, len(patterns), ROWS_AT_ONCE):
        block = patterns[row : row + ROWS_AT_ONCE]
        counts += np.bincount(block.ravel(), minlength=size)
    return counts


def _look_up(table: NDArray[np.float32], patterns: Patterns) -> NDArray[np.float32]:
    image = np.empty(patterns.shape, np.float32)
    for row in range(0, len(patterns), ROWS_AT_ONCE):
        rows = slice(row, row + ROWS_AT_ONCE)
        # every pattern is a place in the table, so the mode only saves the check
        np.take(table, patterns[rows], out=image[rows], mode="clip")
    return image
