"""What a model says about a whole split, and measures of its boxes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dicom_node.domain.findings import Box
from pipelines.chest_findings.boxes import boxes_of, overlap
from pipelines.chest_findings.cases import BoxLabel, Case
from pipelines.chest_findings.codes import MAPPED, SCORES
from pipelines.chest_findings.reading import SharedModel
from pipelines.datasets.picture import open_grey
from pipelines.geometry import square
from pipelines.measuring.metrics import Flags, Numbers
from pipelines.serving.labelled import LabelledManifest

IOU = 0.3
"""A box is met when it overlaps the expert's by this much."""
Row = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Readings:
    """What the model said about each case; arrays run along the cases."""

    cases: tuple[Case, ...]
    labels: Numbers
    """(N, scores): 0, 1 or NaN."""
    scores: Numbers
    """(N, scores): logits."""
    maps: NDArray[np.float32]
    """(N, mapped, h, w) in 0..1."""

    def only(self, rows: Flags) -> "Readings":
        """Keep some of the cases."""
        chosen = tuple(case for case, keep in zip(self.cases, rows, strict=True) if keep)
        return Readings(chosen, self.labels[rows], self.scores[rows], self.maps[rows])

    def where(self, *sources: str) -> "Readings":
        """Keep the cases of some sources."""
        return self.only(np.array([case.source in sources for case in self.cases], np.bool_))

    def of_label(self, name: str) -> tuple[Flags, Numbers]:
        """Give truth and logits of one label, where it is known."""
        column = SCORES.index(name)
        known = ~np.isnan(self.labels[:, column])
        return self.labels[known, column] > 0, self.scores[known, column]

    def known(self, name: str) -> "Readings":
        """Keep the cases whose label is known."""
        return self.only(~np.isnan(self.labels[:, SCORES.index(name)]))

    @property
    def patients(self) -> list[str]:
        """Whose images these are."""
        return [case.patient_id for case in self.cases]


def read_all(model: SharedModel, cases: Sequence[Case]) -> Readings:
    """Read every case's image; a case's own view is the standard one."""
    scores, maps = [], []
    for case in cases:
        image, _ = square(open_grey(case.image), None, model.manifest.input.size)
        (output,) = model.infer([image])
        scores.append(output.scores)
        maps.append(output.maps)
    labels = np.asarray([case.labels for case in cases], np.float64)
    return Readings(tuple(cases), labels, np.asarray(scores, np.float64), np.asarray(maps))


@dataclass(frozen=True, slots=True)
class Marked:
    """Boxes told on images with expert boxes, best first, and what they met."""

    images: Row
    """The image of each told box."""
    scores: Numbers
    met: Row
    """The expert box that each told box is the first to meet, or -1."""
    expert_images: Row
    """The image of each expert box."""
    patients: tuple[str, ...]
    """Of each image."""


def marked(manifest: LabelledManifest, readings: Readings) -> Marked:
    """Tell boxes of every finding on the images that experts boxed.

    Experts boxed one finding or two of an image; a box of a finding that they
    left out counts as wrong here, though it may be right.
    """
    boxed = [row for row, case in enumerate(readings.cases) if case.boxes]
    told = [
        ((image, name), box)
        for image, row in enumerate(boxed)
        for place, name in enumerate(MAPPED)
        for box in boxes_of(readings.maps[row, place], manifest.map_fraction)
    ]
    return marked_boxes([readings.cases[row] for row in boxed], told)


BoxOwner = tuple[int, str]
"""The image and the finding that a box was told of."""


def marked_boxes(cases: Sequence[Case], told: Sequence[tuple[BoxOwner, Box]]) -> Marked:
    """Mark told boxes against the expert boxes of the images, best first."""
    expert = [(n, box) for n, case in enumerate(cases) for box in case.boxes if box.label in MAPPED]
    ranked = sorted(told, key=lambda pair: -pair[1].score)
    met, open_boxes = [], set(range(len(expert)))
    for (image, name), box in ranked:
        met.append(next((n for n in sorted(open_boxes) if _meets(expert[n], image, name, box)), -1))
        open_boxes.discard(met[-1])
    return Marked(
        np.asarray([image for (image, _), _ in ranked], np.int64),
        np.asarray([box.score for _, box in ranked], np.float64),
        np.asarray(met, np.int64),
        np.asarray([image for image, _ in expert], np.int64),
        tuple(case.patient_id for case in cases),
    )


def _meets(expert: tuple[int, BoxLabel], image: int, name: str, box: Box) -> bool:
    where, labelled = expert
    drawn = Box(labelled.x, labelled.y, labelled.width, labelled.height, 1.0)
    return where == image and labelled.label == name and overlap(drawn, box) >= IOU


def recall_at(found: Marked, images: Row, wrong_per_image: float) -> float:
    """Give the share of expert boxes met before that many wrong boxes per image.

    `images` may name an image several times (a bootstrap draw).
    """
    times = np.bincount(images, minlength=len(found.patients))
    total = int(times[found.expert_images].sum())
    if not total:
        return float("nan")
    weight = times[found.images]
    wrong = np.cumsum(np.where(found.met < 0, weight, 0))
    allowed = wrong <= wrong_per_image * len(images)
    return float(np.where(found.met >= 0, weight, 0)[allowed].sum() / total)


def froc_recall(manifest: LabelledManifest, readings: Readings, wrong_per_image: float) -> float:
    """Give the share of expert boxes met at that many wrong boxes per image."""
    found = marked(manifest, readings)
    return recall_at(found, np.arange(len(found.patients)), wrong_per_image)


def place_hits(manifest: LabelledManifest, readings: Readings) -> tuple[Flags, Flags, list[str]]:
    """Say per expert box whether the peak lies inside, and whether its own map's box meets it.

    Here the finding is given, and only its place is asked for.
    """
    peaks, boxes, owners = [], [], []
    for row, case in enumerate(readings.cases):
        for labelled in case.boxes:
            if labelled.label not in MAPPED:
                continue
            shares = readings.maps[row, MAPPED.index(labelled.label)]
            y, x = np.unravel_index(int(shares.argmax()), shares.shape)
            high, wide = shares.shape
            across, down = (x + 0.5) / wide - labelled.x, (y + 0.5) / high - labelled.y
            peaks.append(0 <= across <= labelled.width and 0 <= down <= labelled.height)
            drawn = Box(labelled.x, labelled.y, labelled.width, labelled.height, 1.0)
            told = boxes_of(shares, manifest.map_fraction)
            boxes.append(any(overlap(drawn, box) >= IOU for box in told))
            owners.append(case.patient_id)
    return np.asarray(peaks, np.bool_), np.asarray(boxes, np.bool_), owners


ADULT_SOURCES = ("full", "small", "nih", "siim", "rsna", "classes", "feedback")
