"""Train the shared network of the finding tasks; reads top to bottom."""

import argparse
from pathlib import Path

import torch
from torch import Tensor, nn

from dicom_node.share import MODELS
from pipelines.chest_findings.arrays import (
    SOURCES,
    Batch,
    TrainingArrays,
    batch,
    columns_of,
    decode,
    pick,
)
from pipelines.chest_findings.cases import read_cases
from pipelines.chest_findings.codes import ABNORMAL, CHILD_PNEUMONIA, MAPPED, SCORES
from pipelines.chest_findings.judging import judge
from pipelines.chest_findings.network import (
    ServedNet,
    TrunkNet,
    highest_cells,
    load_encoder,
    map_scores,
)
from pipelines.chest_findings.release import SOURCES as OWN_SOURCES
from pipelines.chest_findings.release import release
from pipelines.training.augment import dice_loss
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

NAME = "chest_findings"
ENCODER_RATE, HEAD_RATE = 4e-4, 1.5e-3
OTHER_WEIGHT = 0.3
"""Labels that are not reported teach less than those that are."""
WEIGHTS = dict.fromkeys(SOURCES, 1.0)
"""Weight of the labels by source; `--weigh` changes them."""
WEAK_WEIGHT, DICE_WEIGHT = 0.5, 0.5
"""Weight of maps that labels alone teach, and of boxes' overlap."""
COARSE_UNTIL = 0.6
"""The first part of the run sees images of about 0.7 times the size."""
ABSENT = 0.1
"""A finding less likely than this has no place on the map."""
RAREST = 20.0
"""No positive counts more than this, however rare it is."""


def train(arguments: list[str]) -> int:
    """Run one training; `--resume` goes on where the last run stopped."""
    options = _parse(arguments)
    weights = weights_of(options.weigh, WEIGHTS)
    cases = cases_of(options, read_cases)
    learning, judging = ([c for c in cases if c.split == split] for split in ("train", "val"))
    phantoms = options.phantoms if cases else max(options.phantoms, 8)
    exam_phantoms = phantoms // 2 if judging else max(phantoms // 2, 4)
    if not options.decode_only:
        open_run(NAME, options)
    options.out.mkdir(parents=True, exist_ok=True)
    arrays = decode(learning, phantoms, options.size * 8 // 7, options.out)
    exam = decode(judging, exam_phantoms, options.size, options.out)
    if options.decode_only:
        return 0
    say(options.out, event="ready", learning=len(arrays.images), judging=len(exam.images))

    network = prepare(options, arrays)
    bias = nn.Parameter(torch.zeros(len(SOURCES), len(SCORES) + len(MAPPED), device=options.device))
    by_source = torch.tensor([weights[name] for name in SOURCES], device=options.device)
    rarity = positives(arrays, options.balance).to(options.device)

    def take_step(network: nn.Module, draws: Draws) -> Losses:
        coarse = max(32, round(options.size * 0.7 / 32) * 32)
        size = coarse if draws.progress < COARSE_UNTIL else options.size
        lesson = batch(arrays, pick(arrays, draws.numpy), size, draws.torch, options.equalise)
        with mixed(draws.device):
            scores, maps = network(to_input(lesson.images))
        counts = (by_source[lesson.sources][:, None], rarity)
        return losses(scores.float(), maps.float(), lesson, bias[lesson.sources], counts)

    groups = rates(network.encoder, network, ENCODER_RATE, HEAD_RATE)
    fast = 10 * HEAD_RATE
    groups.append({"params": [bias], "lr": fast, "peak": fast, "weight_decay": 0.0})
    checkpoint = run(network, groups, options, take_step, lambda net: judge(net, exam))
    folder = ["--out", str(options.out / "models"), "--store", str(options.out)]
    words = ["--checkpoint", str(checkpoint), "--size", str(options.size), *folder]
    return release([*words, *_source(options)])


def _parse(arguments: list[str]) -> argparse.Namespace:
    options = finding_parser(NAME, __doc__, minutes=40, size=320)
    options.add_argument(
        "--balance",
        type=float,
        default=0.0,
        help="0: labels count alike; 1: positives half",
    )
    options.add_argument("--decode-only", action="store_true", help="fill the image cache and stop")
    options.add_argument("--encoder", type=Path, help="another task's checkpoint: its encoder")
    options.set_defaults(phantoms=0, judge_every=250, average=0.995)
    return options.parse_args(arguments)


def _source(options: argparse.Namespace) -> list[str]:
    """Name the set that calibrates, and what the network started from."""
    words = ["--start", "pneumothorax" if options.encoder or options.start else "imagenet"]
    words += sources_of(options, OWN_SOURCES)
    if options.data:
        return [*words, "--data", str(options.data), "--format", options.format]
    return [*words, "--like", str(MODELS)] if options.from_feedback else words


def prepare(options: argparse.Namespace, arrays: TrainingArrays) -> TrunkNet:
    """Make the network with the weights it starts from."""
    network = TrunkNet()
    imagenet = imagenet_of(options)
    start = options.start or ([shipped(NAME)] if options.from_feedback else [])
    if start:
        load_start(network, ServedNet(network, {}, options.size), start, options.size)
    elif options.encoder:
        load_encoder(network, options.encoder)
    elif imagenet:
        load_imagenet(network.encoder, imagenet)
    network.to(device=options.device, memory_format=torch.channels_last)
    if start and not options.from_feedback:
        refresh_norms(network, start[0], arrays.images, options)
    return network


def positives(arrays: TrainingArrays, balance: float) -> Tensor:
    """Say how much a positive of each score counts, (scores,); 1 where `balance` is 0."""
    shares, weights = torch.from_numpy(arrays.shares), torch.from_numpy(arrays.weights)
    present, known = (shares * weights).sum(dim=0), weights.sum(dim=0)
    odds = (known - present).clamp(min=1) / present.clamp(min=1)
    return (odds**balance).clamp(1.0, RAREST)


def losses(
    scores: Tensor, maps: Tensor, lesson: Batch, bias: Tensor, counts: tuple[Tensor, Tensor]
) -> Losses:
    """Give what scores, weakly taught maps and boxed maps miss, weighted.

    `bias` (N, scores + mapped) belongs to each image's source: how often a set
    has a finding is learned there, so that the trunk gains nothing by telling
    the sets apart (thumbnails hardly have a pneumonia, for one). `counts` says how
    much each image counts, (N, 1), and how much each score's positives, (scores,).
    """
    by_image, rarity = counts
    weights = torch.full((len(SCORES),), OTHER_WEIGHT, device=scores.device)
    weights[columns_of([*MAPPED, ABNORMAL, CHILD_PNEUMONIA])] = 1.0
    columns = columns_of(MAPPED)
    aims, sure = lesson.shares[:, columns], lesson.weights[:, columns]
    # What is known of a child's pneumonia teaches the map of an adult's too.
    child, place = SCORES.index(CHILD_PNEUMONIA), MAPPED.index("Pneumonia")
    is_child = lesson.weights[:, child] > 0
    aims[is_child, place] = lesson.shares[is_child, child]
    sure[is_child, place] = lesson.weights[is_child, child]
    weak = map_scores(maps, highest_cells(maps[0, 0].numel())) + bias[:, len(SCORES) :]
    told = scores + bias[:, : len(SCORES)]
    cells, apart = _boxed(maps, lesson, (aims < ABSENT) & (sure > 0))
    return {
        "scores": _answers(told, lesson.shares, by_image * weights * lesson.weights, rarity),
        "weak": WEAK_WEIGHT * _answers(weak, aims, by_image * sure, rarity[columns]),
        "cells": cells,
        "dice": DICE_WEIGHT * apart,
    }


def _answers(logits: Tensor, shares: Tensor, weights: Tensor, rarity: Tensor) -> Tensor:
    missed = nn.functional.binary_cross_entropy_with_logits(logits, shares, reduction="none")
    counts = weights * (1 + (rarity - 1) * shares)
    return (missed * counts).sum() / counts.sum().clamp(min=1)


def _boxed(maps: Tensor, lesson: Batch, absent: Tensor) -> tuple[Tensor, Tensor]:
    """Compare maps with boxes, and with nothing where the finding is `absent`.

    A finding that is named but not boxed may be anywhere: it teaches nothing here.
    """
    inside = nn.functional.interpolate(lesson.boxes, size=maps.shape[-2:], mode="area")
    drawn = inside.flatten(2).amax(dim=2) > 0
    absent = absent & ~drawn
    missed = nn.functional.binary_cross_entropy_with_logits(maps, inside, reduction="none")
    missed = missed.mean(dim=(2, 3))
    cells = (missed * drawn).sum() / drawn.sum().clamp(min=1)
    cells = cells + (missed * absent).sum() / absent.sum().clamp(min=1)
    apart = dice_loss(maps.flatten(0, 1)[:, None], inside.flatten(0, 1)[:, None])
    chosen = drawn.flatten()
    return cells, (apart * chosen).sum() / chosen.sum().clamp(min=1)


if __name__ == "__main__":
    import sys

    raise SystemExit(train(sys.argv[1:]))


__all__ = ["train"]


__all__ = ["train"]
