"""What a model says about a whole split, and how its masks fit."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label

from pipelines.datasets.picture import open_grey, open_mask
from pipelines.geometry import Geometry, square, standard_from_network
from pipelines.measuring import metrics
from pipelines.measuring.metrics import Flags, Numbers
from pipelines.pneumothorax.cases import Case
from pipelines.pneumothorax.measure import plausible
from pipelines.pneumothorax.pipeline import PneumothoraxPipeline


@dataclass(frozen=True, slots=True)
class Readings:
    """What the model said about each case; arrays run along the cases."""

    cases: tuple[Case, ...]
    truth: Flags
    logits: Numbers
    maps: NDArray[np.uint8]
    """Mask probabilities on the network's grid, times 255."""

    def only(self, rows: Flags) -> "Readings":
        """Keep some of the cases."""
        chosen = tuple(case for case, keep in zip(self.cases, rows, strict=True) if keep)
        return Readings(chosen, self.truth[rows], self.logits[rows], self.maps[rows])


def read_all(pipeline: PneumothoraxPipeline, cases: list[Case]) -> Readings:
    """Read every case's image; a case's own view is the standard one."""
    size = pipeline.manifest.input.size
    logits = np.zeros(len(cases))
    maps = np.zeros((len(cases), size, size), np.uint8)
    for row, case in enumerate(cases):
        (said,) = pipeline.infer([square(open_grey(case.image), None, size)[0]])
        logits[row], maps[row] = said.logit, np.rint(said.shares * 255)
    return Readings(tuple(cases), np.array([case.present for case in cases]), logits, maps)


def dice_of(readings: Readings, threshold: float) -> tuple[Numbers, list[str]]:
    """Give Dice on every masked positive, at the size of the drawn mask."""
    overlaps, owners = [], []
    for case, shares in zip(readings.cases, readings.maps, strict=True):
        if case.mask is None:
            continue
        drawn = open_mask(case.mask)
        overlaps.append(metrics.dice(mask_at(shares, threshold, drawn.shape), drawn))
        owners.append(case.patient_id)
    return np.asarray(overlaps), owners


@dataclass(frozen=True, slots=True)
class Fit:
    """How the model's mask fits the expert's on one radiograph."""

    row: int
    dice: float
    iou: float
    lesions: int
    met: int
    """Lesions of the expert that the model's mask covers in part."""
    wrong: int
    """Components of the model's mask that touch no lesion."""
    share: float
    """The expert's mask as a share of the film."""


LEAST_COVERED = 0.1
"""A lesion counts as found when this share of it is covered."""


def fits(readings: Readings, threshold: float) -> Iterator[Fit]:
    """Compare every drawn mask with the model's, at the drawn mask's size."""
    for row, case in enumerate(readings.cases):
        if case.mask is None:
            continue
        drawn = open_mask(case.mask)
        found = mask_at(readings.maps[row], threshold, drawn.shape)
        lesions, count = label(drawn)
        met = sum(
            bool(found[lesions == number].mean() >= LEAST_COVERED) for number in range(1, count + 1)
        )
        told, parts = label(found)
        wrong = sum(not drawn[told == number].any() for number in range(1, parts + 1))
        overlap = metrics.dice(found, drawn), metrics.iou(found, drawn)
        yield Fit(row, *overlap, count, met, wrong, float(drawn.mean()))


def mask_at(shares: NDArray[np.uint8], threshold: float, shape: tuple[int, ...]) -> Flags:
    """Draw the mask of a stored map at (rows, columns), as serving does."""
    level = shares.astype(np.float32) / np.float32(255)
    noise = (level > threshold) & ~plausible(level, threshold)
    kept = np.where(noise, np.float32(0), level)
    geometry = Geometry((shape[0], shape[1]), (shape[0], shape[1]), None)
    return np.asarray(standard_from_network(kept, geometry) > threshold, np.bool_)
