"""Train the suitability network; reads top to bottom."""

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipelines.geometry import open_square, square
from pipelines.phantom.chest import chest_phantom
from pipelines.suitability.cases import read_frontals, read_others
from pipelines.suitability.corruption import corrupt
from pipelines.suitability.network import TURNS, SuitabilityNet
from pipelines.suitability.pipeline import NAME
from pipelines.suitability.release import release
from pipelines.suitability.synthetic import picture
from pipelines.training.augment import augment
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

FRONTALS, OTHERS, CORRUPTED, DRAWN = 14, 8, 6, 6
"""Images per step: chests; real other pictures; parts of chests; synthetic pictures."""
TRUNK_RATE, NEW_RATE = 4e-4, 1.5e-3
TURNED, INVERTED = 0.5, 0.35
"""Share of the chests that are turned, that are inverted."""
SMOOTHING = 0.01
PICTURES = 500
MOST = {"train": 2400, "val": 150}
"""Chests decoded of a split."""


@dataclass(frozen=True, slots=True)
class TrainingArrays:
    """Decoded pictures: uint8 (N, size, size) of each sort."""

    frontals: NDArray[np.uint8]
    others: NDArray[np.uint8]
    drawn: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Batch:
    """Images (N, 1, s, s) in 0..1 with what is true of each, shape (N,)."""

    images: Tensor
    frontal: Tensor
    turn: Tensor
    """Quarter turns counterclockwise; only frontal ones count."""
    inverted: Tensor

    def to(self, device: torch.device) -> "Batch":
        """Carry the batch to a device."""
        return Batch(*(getattr(self, part.name).to(device) for part in fields(self)))


def train(arguments: list[str]) -> int:
    """Run one training; `--resume` goes on where the last run stopped."""
    options = parser(NAME, __doc__, minutes=8, size=160).parse_args(arguments)
    open_run(NAME, options)
    arrays = decode(options.data, "train", options.phantoms, options.size * 6 // 5, seed=3000)
    exam = examine(decode(options.data, "val", 4, options.size, seed=2))
    count = len(arrays.frontals) + len(arrays.others) + len(arrays.drawn)
    say(options.out, event="ready", learning=count, judging=len(exam.images))

    network = SuitabilityNet()
    imagenet = imagenet_of(options)
    if imagenet:
        load_imagenet(network.trunk, imagenet)
    network = network.to(device=options.device, memory_format=torch.channels_last)

    def take_step(network: nn.Module, draws: Draws) -> Losses:
        # Cutting films to pieces is work for the processor, whatever the device.
        random = torch.Generator().manual_seed(int(draws.numpy.integers(1 << 62)))
        batch = assemble(arrays, options.size, draws.numpy, random, options.equalise)
        batch = batch.to(draws.device)
        with mixed(draws.device):
            answers = network(to_input(batch.images))
        return losses(answers, batch)

    groups = rates(network.trunk, network, TRUNK_RATE, NEW_RATE)
    checkpoint = run(network, groups, options, take_step, lambda net: judge(net, exam))
    folder = ["--out", str(options.out / "models" / NAME), "--size", str(options.size)]
    source = ["--data", str(options.data)] if options.data else []
    return release(["--checkpoint", str(checkpoint), *folder, *source])


def decode(folder: Path | None, split: str, phantoms: int, size: int, seed: int) -> TrainingArrays:
    """Decode one split and draw the rest, through the preprocessing of serving."""
    draw = np.random.default_rng(seed)
    frontals, others = [], []
    if folder is not None:
        chests = [case.image for case in read_frontals(folder) if case.split == split]
        # More than a short run will see are not worth decoding.
        most = min(MOST[split], len(chests))
        chosen = np.sort(draw.permutation(len(chests))[:most])
        frontals = [_grey(chests[row], size) for row in chosen]
        others = [_grey(case.image, size) for case in read_others(folder) if case.split == split]
    film = max(192, 2 * size)
    for number in range(phantoms):
        phantom = chest_phantom(seed + number, rows=film, columns=film)
        frontals.append(np.rint(square(phantom.display(), None, size)[0] * 255).astype(np.uint8))
    pictures = PICTURES if split == "train" and folder is not None else 40
    drawn = [picture(size, draw) for _ in range(pictures)]
    empty = np.zeros((0, size, size), np.uint8)
    return TrainingArrays(
        np.stack(frontals),
        np.stack(others) if others else empty,
        np.stack(drawn),
    )


def _grey(path: Path, size: int) -> NDArray[np.uint8]:
    return np.rint(open_square(path, size) * 255).astype(np.uint8)


def assemble(
    arrays: TrainingArrays,
    size: int,
    draw: np.random.Generator,
    random: torch.Generator,
    flattened: float = 0.0,
) -> Batch:
    """Make one step's batch: chests first, then what is none."""

    def some(images: NDArray[np.uint8], count: int) -> Tensor:
        rows = draw.integers(0, len(images), count if len(images) else 0)
        return torch.from_numpy(images[rows]).float()[:, None] / 255

    parts = [some(arrays.frontals, FRONTALS), some(arrays.others, OTHERS)]
    parts += [corrupt(some(arrays.frontals, CORRUPTED), random), some(arrays.drawn, DRAWN)]
    together = torch.cat(parts)
    frontal = torch.zeros(len(together))
    frontal[: len(parts[0])] = 1.0
    images = augment(together, together[:, :0], size, random, flattened)[0]
    chance = torch.rand(2, len(images), generator=random)
    turn = torch.randint(1, TURNS, (len(images),), generator=random) * (chance[0] < TURNED)
    inverted = (chance[1] < INVERTED).float()
    return Batch(stretch(turned(images, turn, inverted)), frontal, turn, inverted)


def turned(images: Tensor, turn: Tensor, inverted: Tensor) -> Tensor:
    """Turn each image by its quarter turns, counterclockwise, and invert it."""
    found = [torch.rot90(image, int(k), (1, 2)) for image, k in zip(images, turn, strict=True)]
    flip = inverted[:, None, None, None]
    together = torch.stack(found)
    return together * (1 - flip) + (1 - together) * flip


def stretch(images: Tensor) -> Tensor:
    """Stretch grey levels between two percentiles, as serving does."""
    flat = images.flatten(1)
    limits = torch.quantile(flat, torch.tensor([0.005, 0.995]), dim=1)
    span = (limits[1] - limits[0]).clamp(min=1e-3)
    return ((flat - limits[0, :, None]) / span[:, None]).clamp(0, 1).reshape(images.shape)


def losses(answers: tuple[Tensor, Tensor, Tensor], batch: Batch) -> Losses:
    """Give the loss of each answer; turn and polarity of chests only."""
    frontal, turn, inverted = (answer.float() for answer in answers)
    chests = batch.frontal > 0.5
    entropy = nn.functional.binary_cross_entropy_with_logits
    aims = batch.frontal.clamp(SMOOTHING, 1 - SMOOTHING)
    return {
        "frontal": 2 * entropy(frontal[:, 0], aims),
        "turn": nn.functional.cross_entropy(turn[chests], batch.turn[chests]),
        "inverted": entropy(inverted[chests, 0], batch.inverted[chests]),
    }


def examine(arrays: TrainingArrays) -> Batch:
    """Make a fixed examination: chests as they are and turned, and what is none."""
    random = torch.Generator().manual_seed(7)
    chests = torch.from_numpy(arrays.frontals).float()[:, None] / 255
    count = len(chests)
    turn = torch.arange(count) % TURNS
    flip = (torch.arange(count) // TURNS % 2).float()
    drawn = torch.from_numpy(arrays.drawn).float()[:, None] / 255
    parts = [chests, turned(chests, turn, flip), corrupt(chests, random), drawn]
    images = torch.cat(parts)
    frontal = torch.zeros(len(images))
    frontal[: 2 * count] = 1.0
    turns = torch.zeros(len(images), dtype=torch.int64)
    turns[count : 2 * count] = turn
    inverted = torch.zeros(len(images))
    inverted[count : 2 * count] = flip
    return Batch(stretch(images), frontal, turns, inverted)


def judge(network: nn.Module, exam: Batch) -> Marks:
    """Measure the losses and the shares of right answers."""
    network.eval()
    device = device_of(network)
    found = []
    for start in range(0, len(exam.images), 32):
        with torch.no_grad():
            found.append(network(to_input(exam.images[start : start + 32].to(device))))
    frontal, turn, inverted = (torch.cat(parts).cpu() for parts in zip(*found, strict=True))
    parts = losses((frontal, turn, inverted), exam)
    chests = exam.frontal > 0.5
    marks = {
        "accepted": ((frontal[:, 0] > 0) & chests).sum() / chests.sum(),
        "rejected": ((frontal[:, 0] <= 0) & ~chests).sum() / (~chests).sum(),
        "turn": (turn.argmax(dim=1) == exam.turn)[chests].float().mean(),
        "inverted": ((inverted[:, 0] > 0) == (exam.inverted > 0.5))[chests].float().mean(),
        "worth": -torch.stack(list(parts.values())).sum(),
    }
    return {name: round(float(value), 4) for name, value in marks.items()}


if __name__ == "__main__":
    import sys

    raise SystemExit(train(sys.argv[1:]))
