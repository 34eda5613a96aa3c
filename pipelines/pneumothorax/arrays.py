"""Decoded radiographs with masks to learn from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.datasets.picture import open_grey, small_mask
from pipelines.geometry import network_input, square
from pipelines.phantom.chest import Condition, chest_phantom
from pipelines.pneumothorax.cases import AUXILIARY, Case
from pipelines.pneumothorax.measure import plausible
from pipelines.serving.manifest import load_manifest
from pipelines.serving.session import open_session

BATCH = {
    "mask": 4,
    "small_mask": 1,
    "agreed_mask": 4,
    "present": 1,
    "weak_present": 2,
    "absent": 3,
    "small_absent": 1,
    "mined": 1,
    "agreed_absent": 2,
    "weak_absent": 2,
    "feedback": 4,
}
"""Images per step, by group; groups that are not there are left out, a phantom is one
more. With the agreed films of stage 2 10 of 18 are positive."""
WEIGHTS = {
    "siim": 1.0,
    "google": 1.0,
    "box": 1.0,
    "feedback": 1.0,
    "classes": 1.0,
    "nih_text": 1.0,
    "weak": 1.0,
    "agreed": 1.0,
    "phantom": 1.0,
}
"""Weight of a presence label by its source; `--weigh` changes them."""
AGREED_WEIGHT = 0.6
"""Weight of a mask, or of its absence, that two networks agree on, against a radiologist's."""
TAUGHT_WEIGHT = 0.3
"""Weight of a mask that a teacher drew, against a radiologist's."""
CONDITIONS: tuple[Condition, ...] = ("none", "right", "none", "left")


@dataclass(frozen=True, slots=True)
class TrainingArrays:
    """Decoded radiographs: uint8 images and masks (N, size, size), labels."""

    images: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    has_mask: NDArray[np.float32]
    """(N,): 1 where a radiologist's mask or absence is known, less for a network's."""
    labels: NDArray[np.float32]
    """(N, 1 + auxiliary) of 0, 1, or NaN for unknown; presence first."""
    weights: NDArray[np.float32]
    """(N,): how much the presence label counts."""
    groups: dict[str, NDArray[np.int64]]


def decode(
    cases: Sequence[Case],
    phantoms: int,
    size: int,
    seed: int,
    weights: Mapping[str, float] = WEIGHTS,
) -> TrainingArrays:
    """Decode cases and make phantoms, through the preprocessing of serving."""
    count = len(cases) + phantoms
    arrays = TrainingArrays(
        images=np.zeros((count, size, size), np.uint8),
        masks=np.zeros((count, size, size), np.uint8),
        has_mask=np.zeros(count, np.float32),
        labels=np.full((count, 1 + len(AUXILIARY)), np.nan, np.float32),
        weights=np.full(count, weights["phantom"], np.float32),
        groups={},
    )
    groups: dict[str, list[int]] = {}
    for row, case in enumerate(cases):
        _put_case(arrays, row, case, size)
        arrays.weights[row] = weights[case.source]
        groups.setdefault(_group(case), []).append(row)
    for number in range(phantoms):
        _put_phantom(arrays, len(cases) + number, seed, number)
        groups.setdefault("phantom", []).append(len(cases) + number)
    arrays.groups.update({name: np.asarray(rows, np.int64) for name, rows in groups.items()})
    return arrays


def _put_case(arrays: TrainingArrays, row: int, case: Case, size: int) -> None:
    arrays.images[row] = np.rint(square(open_grey(case.image), None, size)[0] * 255)
    if case.mask is not None:
        arrays.masks[row] = small_mask(case.mask, size)
    arrays.has_mask[row] = case.mask is not None or (case.expert and not case.present)
    if case.source == "agreed":
        arrays.has_mask[row] = AGREED_WEIGHT
    arrays.labels[row, 0] = case.present
    if case.findings is not None:
        arrays.labels[row, 1:] = [finding in case.findings for finding in AUXILIARY]


def _put_phantom(arrays: TrainingArrays, row: int, seed: int, number: int) -> None:
    size = arrays.images.shape[1]
    film = min(512, max(192, 3 * size))
    condition = CONDITIONS[number % len(CONDITIONS)]
    phantom = chest_phantom(seed + number, condition, rows=film, columns=film)
    arrays.images[row] = np.rint(square(phantom.display(), None, size)[0] * 255)
    whole = Image.fromarray(phantom.pneumothorax_mask.astype(np.uint8) * 255)
    small = whole.resize((size, size), Image.Resampling.BILINEAR)
    arrays.masks[row] = np.asarray(small) > 127
    arrays.has_mask[row] = 1
    arrays.labels[row, 0] = condition != "none"


def _group(case: Case) -> str:
    if case.source == "feedback":
        return "feedback"
    if case.small:
        return "small_mask" if case.present else "small_absent"
    if case.source == "agreed":
        return "agreed_mask" if case.present else "agreed_absent"
    if case.source == "weak":
        return "weak_present" if case.present else "weak_absent"
    if case.present:
        return "mask" if case.mask is not None else "present"
    return "absent" if case.expert else "mined"


def draw_masks(arrays: TrainingArrays, teacher: Path) -> None:
    """Let a finished model draw the masks of positives that have none.

    Self-training (Lee, "Pseudo-Label", 2013): where, is the teacher's opinion;
    that there is a pneumothorax, is the label's.
    """
    manifest = load_manifest(teacher)
    session = open_session(manifest)
    side = manifest.input.size
    without = (arrays.labels[:, 0] == 1) & (arrays.has_mask == 0)
    for row in np.flatnonzero(without):
        picture = Image.fromarray(arrays.images[row]).resize((side, side), Image.Resampling.BOX)
        pixels = np.asarray(picture, np.float32) / np.float32(255)
        straight = network_input(pixels, manifest.input.mean, manifest.input.std)
        both = session.run(np.concatenate([straight, straight[..., ::-1]]))["mask"][:, 0]
        shares = (both[0] + both[1][:, ::-1]) / np.float32(2)
        mask = plausible(shares, manifest.mask_threshold)
        if mask.any():
            drawn = Image.fromarray(mask.astype(np.uint8) * 255).resize(arrays.masks.shape[1:])
            arrays.masks[row] = np.asarray(drawn) > 127
            arrays.has_mask[row] = TAUGHT_WEIGHT


def pick(arrays: TrainingArrays, draw: np.random.Generator) -> NDArray[np.int64]:
    """Choose one step's images; a group that is not there is left out."""
    chosen = [
        draw.choice(arrays.groups[name], min(number, len(arrays.groups[name])), replace=False)
        for name, number in BATCH.items()
        if name in arrays.groups
    ]
    if "phantom" in arrays.groups:
        chosen.append(draw.choice(arrays.groups["phantom"], 1 if chosen else 4))
    return np.concatenate(chosen)
