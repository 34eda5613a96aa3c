"""Train the anatomy network; reads top to bottom."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from pipelines.anatomy.cases import Case, read_cases
from pipelines.anatomy.network import REGIONS, AnatomyNet
from pipelines.anatomy.outline import outline
from pipelines.anatomy.pipeline import HEART, NAME, VISIBLE, WHOLE, grid_outline
from pipelines.anatomy.release import release
from pipelines.geometry import open_square, square
from pipelines.measuring.metrics import dice
from pipelines.phantom.chest import chest_phantom
from pipelines.training.augment import augment, dice_loss
from pipelines.training.loop import (
    Draws,
    Losses,
    Marks,
    device_of,
    imagenet_of,
    mixed,
    parser,
    rates,
    run,
    to_input,
)
from pipelines.training.rundir import open_run, say
from pipelines.training.trunk import load_imagenet

BATCH = 14
TRUNK_RATE, NEW_RATE = 5e-4, 2e-3
HEART_SHARE = 0.6
"""Share of a batch that has a heart mask."""


@dataclass(frozen=True, slots=True)
class TrainingArrays:
    """Decoded radiographs: images (N, s, s), masks (N, 3, s, s) of 0 and 1."""

    images: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    known: NDArray[np.bool_]
    """(N, 3): which regions were outlined on the image."""


def train(arguments: list[str]) -> int:
    """Run one training; `--resume` goes on where the last run stopped."""
    options = parser(NAME, __doc__, minutes=14, size=256).parse_args(arguments)
    cases = read_cases(options.data) if options.data else ()
    open_run(NAME, options)
    learning = [case for case in cases if case.split == "train" and not case.poor]
    judging = [case for case in cases if case.split == "val"]
    arrays = decode(learning, options.phantoms, options.size * 6 // 5, seed=2000)
    exam = decode(judging, 0 if judging else 4, options.size, seed=1)
    say(options.out, event="ready", learning=len(arrays.images), judging=len(exam.images))

    network = AnatomyNet()
    imagenet = imagenet_of(options)
    if imagenet:
        load_imagenet(network.trunk, imagenet)
    network = network.to(device=options.device, memory_format=torch.channels_last)

    def take_step(network: nn.Module, draws: Draws) -> Losses:
        rows = pick(arrays, draws.numpy)
        images = torch.from_numpy(arrays.images[rows]).to(draws.device).float()[:, None] / 255
        masks = torch.from_numpy(arrays.masks[rows]).to(draws.device).float()
        images, masks = augment(images, masks, options.size, draws.torch, options.equalise)
        with mixed(draws.device):
            logits = network(to_input(images))
        known = torch.from_numpy(arrays.known[rows]).to(draws.device)
        return losses(logits.float(), masks, known)

    groups = rates(network.trunk, network, TRUNK_RATE, NEW_RATE)
    checkpoint = run(network, groups, options, take_step, lambda net: judge(net, exam))
    folder = ["--out", str(options.out / "models" / NAME), "--size", str(options.size)]
    source = ["--data", str(options.data)] if options.data else []
    return release(["--checkpoint", str(checkpoint), *folder, *source])


def decode(cases: list[Case], phantoms: int, size: int, seed: int) -> TrainingArrays:
    """Decode cases and make phantoms, through the preprocessing of serving."""
    count = len(cases) + phantoms
    images = np.zeros((count, size, size), np.uint8)
    masks = np.zeros((count, len(REGIONS), size, size), np.uint8)
    known = np.zeros((count, len(REGIONS)), np.bool_)
    for row, case in enumerate(cases):
        images[row] = np.rint(open_square(case.image, size) * 255)
        lungs = WHOLE if case.behind_heart else VISIBLE
        masks[row, lungs], known[row, lungs] = _mask(case.lungs, size), True
        if case.heart is not None:
            masks[row, HEART], known[row, HEART] = _mask(case.heart, size), True
    film = min(512, max(192, 3 * size))
    for number in range(phantoms):
        row = len(cases) + number
        phantom = chest_phantom(seed + number, rows=film, columns=film)
        images[row] = np.rint(square(phantom.display(), None, size)[0] * 255)
        drawn = Image.fromarray(phantom.lungs_mask.astype(np.uint8) * 255)
        masks[row, WHOLE] = np.asarray(drawn.resize((size, size), Image.Resampling.BOX)) > 127
        known[row, WHOLE] = True
    return TrainingArrays(images, masks, known)


def _mask(path: Path, size: int) -> NDArray[np.bool_]:
    with Image.open(path) as picture:
        small = picture.convert("L").resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(np.asarray(small) > 127, np.bool_)


def pick(arrays: TrainingArrays, draw: np.random.Generator) -> NDArray[np.int64]:
    """Choose one step's images, so that every region is in it."""
    with_heart = np.flatnonzero(arrays.known[:, HEART])
    others = np.flatnonzero(~arrays.known[:, HEART])
    hearts = round(HEART_SHARE * BATCH) if len(others) else BATCH
    parts = [
        draw.choice(rows, min(number, len(rows)), replace=False)
        for rows, number in ((with_heart, hearts), (others, BATCH - hearts))
        if len(rows)
    ]
    return np.concatenate(parts)


def losses(logits: Tensor, masks: Tensor, known: Tensor) -> Losses:
    """Give cross entropy and Dice of the regions that were outlined."""
    count, regions, height, width = logits.shape
    flat_logits = logits.reshape(count * regions, 1, height, width)
    flat_masks = masks.reshape(count * regions, 1, height, width)
    outlined = known.reshape(-1).float()
    pixels = nn.functional.binary_cross_entropy_with_logits(
        flat_logits, flat_masks, reduction="none"
    ).mean(dim=(1, 2, 3))
    total = outlined.sum().clamp(min=1)
    return {
        "pixel": 2 * (pixels * outlined).sum() / total,
        "dice": (dice_loss(flat_logits, flat_masks) * outlined).sum() / total,
    }


def judge(network: nn.Module, exam: TrainingArrays) -> Marks:
    """Measure Dice by region, and the ratio's error where the heart is known."""
    network.eval()
    device = device_of(network)
    dices: dict[int, list[float]] = {region: [] for region in range(len(REGIONS))}
    errors = []
    for image, masks, known in zip(exam.images, exam.masks, exam.known, strict=True):
        with torch.no_grad():
            grey = torch.from_numpy(image).to(device).float()[None, None] / 255
            shares = network(to_input(grey))
        found = torch.sigmoid(shares)[0].cpu().numpy()
        for region in np.flatnonzero(known):
            dices[int(region)].append(dice(found[region] > 0.5, masks[region] > 0))
        if known[HEART]:
            lungs = (masks[VISIBLE] | masks[WHOLE]) > 0
            truth = outline(lungs, masks[HEART] > 0).ratio
            answer = grid_outline(found, 0.5).ratio
            if truth is not None:
                errors.append(1.0 if answer is None else abs(answer - truth))
    marks = {
        f"dice {REGIONS[region]}": float(np.mean(values))
        for region, values in dices.items()
        if values
    }
    worth = float(np.mean(list(marks.values())))
    if errors:
        marks["ratio error"] = float(np.mean(errors))
        worth -= marks["ratio error"]
    return {name: round(value, 4) for name, value in {**marks, "worth": worth}.items()}


if __name__ == "__main__":
    import sys

    raise SystemExit(train(sys.argv[1:]))
