"""Decoded radiographs to learn from, and batches of them."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipelines.chest_findings.cases import BoxLabel, Case, mined_labels, read_labels
from pipelines.chest_findings.codes import MAPPED, NO_FINDING, SCORES
from pipelines.datasets.picture import open_grey
from pipelines.datasets.truth import truths_of
from pipelines.geometry import square
from pipelines.phantom.chest import Condition, chest_phantom
from pipelines.training.augment import equalise, photograph, random_affine, write_markers

SOURCES = ("full", "small", "child", "nih", "phantom", "siim", "rsna", "classes", "feedback")
CONDITIONS: tuple[Condition, ...] = ("none", "right", "none", "left")
PHANTOM_SIDE = 256
GRID = 56
"""Boxes are drawn on a grid of this size."""
BATCH = {
    "boxed": 6,
    "full": 12,
    "nih": 10,
    "small": 7,
    "child": 3,
    "siim": 6,
    "rsna": 10,
    "classes": 10,
    "feedback": 4,
    "phantom": 4,
}
"""Images per step, by group; groups that are not there are left out."""
READ_CHANCE = 1.6
"""Films that radiologists read are drawn so many times as often as others."""
LABEL_SMOOTHING = 0.02
"""Of labels that nobody weighed."""
ASPECTS = (1.0, 1.7)
"""A child's radiograph is cropped to an aspect ratio drawn from here."""
SOFTENED = 0.35
"""Share of the batch that is made as soft as a thumbnail."""
THUMBNAIL = 0.55


@dataclass(frozen=True, slots=True)
class TrainingArrays:
    """Images (N, side, side), labels (N, scores) with NaN, boxes by row."""

    images: NDArray[np.uint8]
    labels: NDArray[np.float32]
    shares: NDArray[np.float32]
    """(N, scores): how likely each finding is there; see `pipelines.datasets.truth`."""
    weights: NDArray[np.float32]
    """(N, scores): how much that counts, 0 where nothing is known."""
    read: NDArray[np.float32]
    """(N, scores) of what radiologists saw: 0, 1, or NaN where they did not read."""
    chances: NDArray[np.float64]
    """(N,): how often an image is drawn, against the others of its group."""
    sources: NDArray[np.int64]
    aspects: NDArray[np.float32]
    """Width over height of the file, 1 where it means nothing."""
    boxes: dict[int, tuple[BoxLabel, ...]]
    groups: dict[str, NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class Batch:
    """One step's images (N, 1, S, S) in 0..1, with what is known of them."""

    images: Tensor
    shares: Tensor
    weights: Tensor
    sources: Tensor
    boxes: Tensor
    """(N, mapped, GRID, GRID): inside a box 1, elsewhere 0."""
    boxed: Tensor
    """(N,): whether an expert drew boxes on this image."""


def decode(
    cases: Sequence[Case], phantoms: int, side: int, store: Path | None = None
) -> TrainingArrays:
    """Decode cases (once: `store` keeps them) and make phantoms."""
    key = hashlib.sha256("".join([str(side), *(str(c.image) for c in cases)]).encode())
    kept = store / f"images-{key.hexdigest()[:16]}.npz" if store else None
    if kept and kept.exists():
        with np.load(kept) as held:
            images, aspects = held["images"], held["aspects"]
    else:
        images, aspects = _decode(cases, side)
        if kept:
            np.savez(kept, images=images, aspects=aspects)
    made, phantom_labels, phantom_boxes = _phantoms(phantoms, side)
    boxes = {row: drawn for row, case in enumerate(cases) if (drawn := boxes_to_teach(case))}
    boxes |= {len(cases) + row: drawn for row, drawn in phantom_boxes.items()}
    sources = [case.source for case in cases] + ["phantom"] * phantoms
    groups: dict[str, list[int]] = {}
    for row, source in enumerate(sources):
        name = "boxed" if row in boxes and source != "phantom" else source
        groups.setdefault(name, []).append(row)
    labels = np.asarray([case.labels for case in cases] + phantom_labels, np.float32)
    shares, weights = targets(cases, labels)
    read = np.full_like(labels, np.nan)
    read[: len(cases)] = [read_labels(case) for case in cases] or np.zeros((0, len(SCORES)))
    return TrainingArrays(
        np.concatenate([images, made]),
        labels,
        shares,
        weights,
        read,
        np.where(np.isnan(read).all(axis=1), 1.0, READ_CHANCE),
        np.asarray([SOURCES.index(source) for source in sources], np.int64),
        np.concatenate([aspects, np.ones(phantoms, np.float32)]),
        boxes,
        {name: np.asarray(rows, np.int64) for name, rows in groups.items()},
    )


def targets(
    cases: Sequence[Case], labels: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Give shares and weights that teach, (N, scores) each; labels where nobody weighed them."""
    shares = np.nan_to_num(labels).clip(LABEL_SMOOTHING, 1 - LABEL_SMOOTHING)
    weights = (~np.isnan(labels)).astype(np.float32)
    for row, case in enumerate(cases):
        if case.reading is not None:
            for name, truth in truths_of(case.reading).items():
                column = SCORES.index(name)
                shares[row, column], weights[row, column] = truth.share, truth.weight
    return shares, weights


def boxes_to_teach(case: Case) -> tuple[BoxLabel, ...]:
    """Join the boxes of the eight findings with RSNA's of opacities, which stand for pneumonia."""
    return case.boxes + (case.reading.opacities if case.reading else ())


def _decode(cases: Sequence[Case], side: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    images = np.zeros((len(cases), side, side), np.uint8)
    aspects = np.ones(len(cases), np.float32)
    for row, case in enumerate(cases):
        pixels = open_grey(case.image)
        images[row] = np.rint(square(pixels, None, side)[0] * 255)
        if case.source == "child":
            aspects[row] = pixels.shape[1] / pixels.shape[0]
    return images, aspects


def _phantoms(
    count: int, side: int
) -> tuple[NDArray[np.uint8], list[tuple[float, ...]], dict[int, tuple[BoxLabel, ...]]]:
    images = np.zeros((count, side, side), np.uint8)
    labels: list[tuple[float, ...]] = []
    boxes: dict[int, tuple[BoxLabel, ...]] = {}
    for row in range(count):
        condition = CONDITIONS[row % len(CONDITIONS)]
        film = chest_phantom(1000 + row, condition, rows=PHANTOM_SIDE, columns=PHANTOM_SIDE)
        images[row] = np.rint(square(film.display(), None, side)[0] * 255)
        labels.append(mined_labels({NO_FINDING if condition == "none" else "Pneumothorax"}))
        if condition != "none":
            mask = film.pneumothorax_mask
            rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
            top, left = rows[0] / PHANTOM_SIDE, columns[0] / PHANTOM_SIDE
            high, wide = np.ptp(rows) / PHANTOM_SIDE, np.ptp(columns) / PHANTOM_SIDE
            boxes[row] = (
                BoxLabel("Pneumothorax", float(left), float(top), float(wide), float(high)),
            )
    return images, labels, boxes


def pick(arrays: TrainingArrays, draw: np.random.Generator) -> NDArray[np.int64]:
    """Choose one step's images."""
    chosen = []
    for name, number in BATCH.items():
        if name in arrays.groups:
            rows = arrays.groups[name]
            chances = arrays.chances[rows] / arrays.chances[rows].sum()
            chosen.append(draw.choice(rows, min(number, len(rows)), replace=False, p=chances))
    return np.concatenate(chosen)


def batch(
    arrays: TrainingArrays,
    rows: NDArray[np.int64],
    size: int,
    random: torch.Generator,
    flattened: float = 0.0,
) -> Batch:
    """Turn, crop, expose and mark images and boxes alike, on the generator's device.

    `flattened` is the share of images whose histogram is equalised.
    """

    def there(values: NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(values).to(random.device)

    images = there(arrays.images[rows]).float()[:, None] / 255
    grids = there(np.stack([draw_boxes(arrays.boxes.get(int(row), ())) for row in rows]))
    maps = random_affine(len(rows), random)
    maps[:, :, :2] *= _crops(there(arrays.aspects[rows]), random)[:, :, None]
    maps[:, :, 2] *= 0.7
    warped = _warp(images, maps, size)
    soft = torch.rand(len(rows), generator=random, device=random.device) < SOFTENED
    if soft.any():
        warped[soft] = soften(warped[soft])
    warped = equalise(warped, random, flattened)
    return Batch(
        write_markers(photograph(warped, random), random),
        there(arrays.shares[rows]),
        there(arrays.weights[rows]),
        there(arrays.sources[rows]),
        (_warp(grids, maps, GRID) > 0.5).float(),
        torch.tensor([int(row) in arrays.boxes for row in rows], device=random.device),
    )


def _warp(images: Tensor, maps: Tensor, size: int) -> Tensor:
    shape = [len(images), images.shape[1], size, size]
    grid = nn.functional.affine_grid(maps, shape, align_corners=False)
    return nn.functional.grid_sample(images, grid, align_corners=False)


def _crops(aspects: Tensor, random: torch.Generator) -> Tensor:
    """Draw how much of width and height is kept, (N, 2), so that no aspect tells.

    A file of aspect 1.5 that is squeezed into a square shows a narrower chest
    than one of 1.2: cropped to random aspects first, all are squeezed alike.
    """
    low, high = (math.log(bound) for bound in ASPECTS)
    drawn = torch.rand(len(aspects), generator=random, device=random.device)
    aims = torch.exp(drawn * (high - low) + low)
    ratio = torch.where(aspects == 1, torch.ones_like(aims), aims / aspects)
    return torch.stack([ratio.clamp(max=1.0), (1 / ratio).clamp(max=1.0)], dim=1)


def soften(images: Tensor) -> Tensor:
    """Take away what a thumbnail of 128 px does not show."""
    size = images.shape[-1]
    small = nn.functional.interpolate(images, size=int(THUMBNAIL * size), mode="area")
    return nn.functional.interpolate(small, size=size, mode="bilinear")


def draw_boxes(boxes: Sequence[BoxLabel]) -> NDArray[np.float32]:
    """Draw an image's boxes, (mapped, GRID, GRID)."""
    drawn = np.zeros((len(MAPPED), GRID, GRID), np.float32)
    for box in boxes:
        if box.label in MAPPED:
            top, left = int(box.y * GRID), int(box.x * GRID)
            bottom = max(math.ceil((box.y + box.height) * GRID), top + 1)
            right = max(math.ceil((box.x + box.width) * GRID), left + 1)
            drawn[MAPPED.index(box.label), top:bottom, left:right] = 1
    return drawn


def columns_of(names: Sequence[str]) -> list[int]:
    """Give the score columns of some names."""
    return [SCORES.index(name) for name in names]
