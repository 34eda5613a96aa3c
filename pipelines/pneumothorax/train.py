"""Train the pneumothorax network; reads top to bottom."""

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dicom_node.share import MODELS
from pipelines.pneumothorax.arrays import WEIGHTS, TrainingArrays, decode, draw_masks, pick
from pipelines.pneumothorax.cases import AUXILIARY, Case, judges, read_cases
from pipelines.pneumothorax.judging import judge
from pipelines.pneumothorax.network import PneumothoraxNet, ServedNet
from pipelines.pneumothorax.release import SOURCES, release
from pipelines.training.augment import augment, dice_loss
from pipelines.training.loop import (
    Draws,
    Losses,
    finding_parser,
    imagenet_of,
    mixed,
    rates,
    run,
    to_input,
)
from pipelines.training.rundir import open_run, say
from pipelines.training.start import (
    cases_of,
    load_start,
    refresh_norms,
    shipped,
    sources_of,
    weights_of,
)
from pipelines.training.trunk import load_imagenet

NAME = "pneumothorax"
ENCODER_RATE, DECODER_RATE = 4e-4, 1.5e-3
AUXILIARY_WEIGHT = 0.2
LABEL_SMOOTHING = 0.03


def train(arguments: list[str]) -> int:
    """Run one training; `--resume` goes on where the last run stopped."""
    options = _parse(arguments)
    weights = weights_of(options.weigh, WEIGHTS)
    cases = cases_of(options, read_cases)
    open_run(NAME, options)
    learning = [c for c in cases if c.split == "train" and (c.expert or not c.small)]
    judging = judges(cases)
    arrays = decode(learning, options.phantoms, options.size * 6 // 5, 1000, weights)
    if options.teacher:
        draw_masks(arrays, options.teacher)
    least = 0 if judging else 4
    exam = decode(judging, max(options.phantoms // 10, least), options.size, seed=1)
    say(options.out, event="ready", learning=len(arrays.images), judging=len(exam.images))
    network = prepare(options, arrays)

    def take_step(network: nn.Module, draws: Draws) -> Losses:
        rows = pick(arrays, draws.numpy)
        images = torch.from_numpy(arrays.images[rows]).to(draws.device).float()[:, None] / 255
        masks = torch.from_numpy(arrays.masks[rows]).to(draws.device).float()[:, None]
        images, masks = augment(images, masks, options.size, draws.torch, options.equalise)
        with mixed(draws.device):
            answers = network(to_input(images))
        return losses(answers, masks, arrays, rows)

    groups = rates(network.encoder, network, ENCODER_RATE, DECODER_RATE)
    checkpoint = run(network, groups, options, take_step, lambda net: judge(net, exam))
    folder = ["--out", str(options.out / "models" / NAME), "--size", str(options.size)]
    return release(["--checkpoint", str(checkpoint), *folder, *_source(options, judging)])


def _parse(arguments: list[str]) -> argparse.Namespace:
    options = finding_parser(NAME, __doc__, minutes=60, size=320)
    options.add_argument("--teacher", type=Path, help="a model folder that draws missing masks")
    options.set_defaults(phantoms=200)
    return options.parse_args(arguments)


def _source(options: argparse.Namespace, judging: list[Case]) -> list[str]:
    """Name the set that calibrates: the base, else corrections with both answers."""
    words = sources_of(options, SOURCES)
    if options.data:
        return [*words, "--data", str(options.data), "--format", options.format]
    if len({case.present for case in judging}) == 2:
        return [*words, "--data", str(options.from_feedback)]
    return [*words, "--like", str(MODELS)] if options.from_feedback else words


def prepare(options: argparse.Namespace, arrays: TrainingArrays) -> PneumothoraxNet:
    """Make the network with the weights it starts from."""
    network = PneumothoraxNet(len(AUXILIARY))
    imagenet = imagenet_of(options)
    start = options.start or ([shipped(NAME)] if options.from_feedback else [])
    if start:
        load_start(network, ServedNet(network), start, options.size)
    elif imagenet:
        load_imagenet(network.encoder, imagenet)
    network.to(device=options.device, memory_format=torch.channels_last)
    if start and not options.from_feedback:
        refresh_norms(network, start[0], arrays.images, options)
    return network


def losses(
    answers: tuple[Tensor, Tensor], masks: Tensor, arrays: TrainingArrays, rows: NDArray[np.int64]
) -> Losses:
    """Give what the mask, the presence and the other labels miss, weighted."""
    mask_logits, label_logits = (answer.float() for answer in answers)
    labels, has_mask, weights = (
        torch.from_numpy(known[rows]).to(masks.device)
        for known in (arrays.labels, arrays.has_mask, arrays.weights)
    )
    entropy = nn.functional.binary_cross_entropy_with_logits
    pixels = entropy(mask_logits, masks, reduction="none").mean(dim=(1, 2, 3))
    drawn = has_mask * (masks.sum(dim=(1, 2, 3)) > 0)
    known = ~labels.isnan()
    aims = labels.nan_to_num().clamp(LABEL_SMOOTHING, 1 - LABEL_SMOOTHING)
    missed = entropy(label_logits, aims, reduction="none")
    others = (missed * known)[:, 1:].sum() / known[:, 1:].sum().clamp(min=1)
    return {
        "pixel": 2 * (pixels * has_mask).sum() / has_mask.sum().clamp(min=1),
        "dice": (dice_loss(mask_logits, masks) * drawn).sum() / drawn.sum().clamp(min=1),
        "presence": (missed[:, 0] * weights).sum() / weights.sum().clamp(min=1e-6),
        "auxiliary": AUXILIARY_WEIGHT * others,
    }


if __name__ == "__main__":
    import sys

    raise SystemExit(train(sys.argv[1:]))
