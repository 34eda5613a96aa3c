"""Train the shared network of the finding tasks; reads top to bottom."""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from pipelines.chest_findings.cases import read_cases
from pipelines.chest_findings.codes import ABNORMAL, CHILD_PNEUMONIA, MAPPED, SCORES
from pipelines.chest_findings.judging import judge, worth
from pipelines.chest_findings.network import (
    TrunkNet,
    highest_cells,
    load_encoder,
    load_imagenet,
    map_scores,
)
from pipelines.chest_findings.release import release
from pipelines.chest_findings.shelf import SOURCES, Batch, batch, columns_of, fill, pick
from pipelines.training import Average, dice_loss, learning_rate

ENCODER_RATE, HEAD_RATE = 4e-4, 1.5e-3
WEIGHT_DECAY = 1e-2
AVERAGE_DECAY = 0.99
LABEL_SMOOTHING = 0.02
OTHER_WEIGHT = 0.3
"""Labels that are not reported teach less than those that are."""
JUDGED_AT = (0.5, 0.75, 0.9, 1.0)
COARSE_UNTIL = 0.5
"""The first part of the run sees images of about 0.7 times the size."""
SAVE_EVERY = 50


def train(arguments: list[str]) -> int:
    """Run one training; `--resume` goes on where the last run stopped."""
    options = _parse(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    cases = (*(read_cases(options.data) if options.data else ()),)
    learning = [case for case in cases if case.split == "train"]
    judging = [case for case in cases if case.split == "val"]
    phantoms = options.phantoms if cases else max(options.phantoms, 8)
    shelf = fill(learning, phantoms, options.size * 8 // 7, options.out)
    exam = fill(judging, phantoms // 2, options.size, options.out)
    _say(options.out, event="ready", learning=len(shelf.images), judging=len(exam.images))
    if options.decode_only:
        return 0

    network = TrunkNet().to(memory_format=torch.channels_last)
    if options.start:
        load_encoder(network, options.start)
    elif options.data:
        load_imagenet(network, options.data / "weights" / "mobilenet_v2_imagenet.npz")
    bias = nn.Parameter(torch.zeros(len(SOURCES), len(SCORES) + len(MAPPED)))
    average = Average(network, AVERAGE_DECAY)
    optimiser = torch.optim.AdamW(_rates(network, bias), weight_decay=WEIGHT_DECAY)
    step, spent_s, judged = 0, 0.0, 0
    if options.resume and (options.out / "last.pt").exists():
        saved = torch.load(options.out / "last.pt", weights_only=True)
        network.load_state_dict(saved["network"])
        average.network.load_state_dict(saved["average"])
        bias.data.copy_(saved["bias"])
        average.updates = step = saved["step"]
        optimiser.load_state_dict(saved["optimiser"])
        spent_s = saved["spent_s"]
        judged = sum(_progress(options, step, spent_s) >= mark for mark in JUDGED_AT)
    started_at = time.monotonic() - spent_s
    draw = np.random.default_rng(options.seed + step)
    random = torch.Generator().manual_seed(options.seed + step)

    while (progress := _progress(options, step, spent_s)) < 1:
        for group in optimiser.param_groups:
            group["lr"] = group["peak"] * learning_rate(progress)
        coarse = max(32, round(options.size * 0.7 / 32) * 32)
        size = coarse if progress < COARSE_UNTIL else options.size
        lesson = batch(shelf, pick(shelf, draw), size, random)
        network.train()
        scores, maps = network(_input(lesson.images))
        loss, parts = _loss(scores, maps, lesson, bias[lesson.sources])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        average.update(network)
        step += 1
        spent_s = time.monotonic() - started_at
        progress = _progress(options, step, spent_s)
        if step % 10 == 0:
            _say(options.out, event="step", step=step, progress=round(progress, 4), **parts)
        due = sum(progress >= mark for mark in JUDGED_AT)
        if due > judged:
            judged = due
            marks = judge(average.network, exam)
            _say(options.out, event="judged", step=step, spent_s=round(spent_s), **marks)
            torch.save(average.network.state_dict(), options.out / f"average-{step:05d}.pt")
        if step % SAVE_EVERY == 0 or judged == len(JUDGED_AT):
            saved = {
                "network": network.state_dict(),
                "average": average.network.state_dict(),
                "optimiser": optimiser.state_dict(),
                "bias": bias.data,
                "step": step,
                "spent_s": time.monotonic() - started_at,
            }
            torch.save(saved, options.out / "last.partial")
            (options.out / "last.partial").replace(options.out / "last.pt")

    best = options.out / f"average-{best_step(options.out):05d}.pt"
    folder = ["--out", str(options.out / "models"), "--store", str(options.out)]
    source = ["--data", str(options.data)] if options.data else []
    start = ["--start", "pneumothorax" if options.start else "imagenet"]
    size = ["--size", str(options.size)]
    return release(["--checkpoint", str(best), *size, *folder, *source, *start])


def best_step(out: Path) -> int:
    """Give the step that validation liked best, over all outputs."""
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    marks = {int(line["step"]): line for line in lines if line["event"] == "judged"}
    return max(marks, key=lambda step: worth(marks[step]))


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="dicom-node train chest_findings", description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with cxr/ and weights/; none: phantoms")
    parser.add_argument("--start", type=Path, help="checkpoint with an encoder to start from")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints and log")
    parser.add_argument("--minutes", type=float, default=28.0, help="time spent in all steps")
    parser.add_argument("--steps", type=int, help="number of steps, instead of --minutes")
    parser.add_argument("--size", type=int, default=224, help="network input, multiple of 32")
    parser.add_argument("--phantoms", type=int, default=0, help="number of phantoms to add")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--decode-only", action="store_true", help="fill the image cache and stop")
    parser.add_argument("--resume", action="store_true")
    return parser.parse_args(arguments)


def _input(images: Tensor) -> Tensor:
    return (images * 2 - 1).contiguous(memory_format=torch.channels_last)


def _loss(
    scores: Tensor, maps: Tensor, lesson: Batch, bias: Tensor
) -> tuple[Tensor, dict[str, float]]:
    """Add up what scores, weakly taught maps and boxed maps miss.

    `bias` (N, scores + mapped) belongs to each image's source: how often a set
    has a finding is learned there, so that the trunk gains nothing by telling
    the sets apart (thumbnails hardly have a pneumonia, for one).
    """
    weights = torch.full((len(SCORES),), OTHER_WEIGHT)
    weights[columns_of([*MAPPED, ABNORMAL, CHILD_PNEUMONIA])] = 1.0
    parts = {"scores": _answers(scores + bias[:, : len(SCORES)], lesson.labels, weights)}
    columns = columns_of(MAPPED)
    aims = lesson.labels[:, columns]
    child = lesson.labels[:, [SCORES.index(CHILD_PNEUMONIA)]]
    known_child = ~child.isnan()
    pneumonia = torch.tensor([name == "Pneumonia" for name in MAPPED])
    aims = torch.where(known_child & pneumonia, child, aims)
    weak = map_scores(maps, highest_cells(maps[0, 0].numel())) + bias[:, len(SCORES) :]
    parts["weak"] = _answers(weak, aims, torch.ones(len(MAPPED)))
    parts["cells"], parts["dice"] = _boxed(maps, lesson, aims)
    loss = parts["scores"] + 0.5 * parts["weak"] + parts["cells"] + 0.5 * parts["dice"]
    return loss, {name: round(part.item(), 4) for name, part in parts.items()}


def _answers(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    known = ~labels.isnan()
    aims = labels.nan_to_num().clamp(LABEL_SMOOTHING, 1 - LABEL_SMOOTHING)
    missed = nn.functional.binary_cross_entropy_with_logits(logits, aims, reduction="none")
    shares = known * weights
    return (missed * shares).sum() / shares.sum().clamp(min=1)


def _boxed(maps: Tensor, lesson: Batch, aims: Tensor) -> tuple[Tensor, Tensor]:
    """Compare maps with boxes, and with nothing where the finding is absent.

    A finding that is named but not boxed may be anywhere: it teaches nothing here.
    """
    inside = nn.functional.interpolate(lesson.boxes, size=maps.shape[-2:], mode="area")
    drawn = inside.flatten(2).amax(dim=2) > 0
    absent = ~drawn & (aims == 0)
    missed = nn.functional.binary_cross_entropy_with_logits(maps, inside, reduction="none")
    missed = missed.mean(dim=(2, 3))
    cells = (missed * drawn).sum() / drawn.sum().clamp(min=1)
    cells = cells + (missed * absent).sum() / absent.sum().clamp(min=1)
    apart = dice_loss(maps.flatten(0, 1)[:, None], inside.flatten(0, 1)[:, None])
    chosen = drawn.flatten()
    return cells, (apart * chosen).sum() / chosen.sum().clamp(min=1)


def _rates(network: TrunkNet, bias: nn.Parameter) -> list[dict[str, object]]:
    encoder = [weight for weight in network.encoder.parameters() if weight.requires_grad]
    inside = {id(weight) for weight in network.encoder.parameters()}
    rest = [weight for weight in network.parameters() if id(weight) not in inside]
    return [
        {"params": encoder, "lr": ENCODER_RATE, "peak": ENCODER_RATE},
        {"params": rest, "lr": HEAD_RATE, "peak": HEAD_RATE},
        {"params": [bias], "lr": 10 * HEAD_RATE, "peak": 10 * HEAD_RATE, "weight_decay": 0.0},
    ]


def _progress(options: argparse.Namespace, step: int, spent_s: float) -> float:
    if options.steps is not None:
        return float(step / options.steps)
    return float(spent_s / (60 * options.minutes))


def _say(out: Path, **words: object) -> None:
    """Append one line to the run's log."""
    with (out / "log.jsonl").open("a") as log:
        log.write(json.dumps(words) + "\n")


if __name__ == "__main__":
    import sys

    raise SystemExit(train(sys.argv[1:]))
