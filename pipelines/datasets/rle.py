"""SIIM-ACR's run lengths, relative offsets down the columns."""

import numpy as np
from numpy.typing import NDArray

from dicom_node.domain.errors import BadSettings
from pipelines.datasets.record import Runs

NONE = "-1"
"""The text of an image without a region."""


def decode(runs: Runs) -> NDArray[np.bool_]:
    """Draw the regions, (rows, columns).

    A text holds pairs: pixels skipped since the last run's end, pixels of the
    run; they count down the first column, then down the next.
    """
    drawn = np.zeros(runs.rows * runs.columns, np.bool_)
    for text in runs.texts:
        position = 0
        for skipped, length in pairs(text):
            position += skipped
            if position + length > drawn.size:
                raise BadSettings(
                    f"run lengths end at pixel {position + length} of {drawn.size}: "
                    f"this is no relative-offset RLE of {runs.columns}x{runs.rows} pixels"
                )
            drawn[position : position + length] = True
            position += length
    return drawn.reshape(runs.columns, runs.rows).T.copy()


def pairs(text: str) -> list[tuple[int, int]]:
    """Read the pairs of a text; BadSettings unless they are whole and not negative."""
    words = text.split()
    if len(words) % 2 or not all(word.isdecimal() for word in words):
        raise BadSettings(f"{text[:40]!r} is no list of pairs of whole numbers, nor {NONE}")
    numbers = [int(word) for word in words]
    return list(zip(numbers[::2], numbers[1::2], strict=True))
