"""Train the pneumothorax network; reads top to bottom."""

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from pipelines.datasets.picture import open_grey, small_mask
from pipelines.metrics import auc
from pipelines.phantom import Condition, chest_phantom
from pipelines.pneumothorax.cases import AUXILIARY, Case, read_cases
from pipelines.pneumothorax.network import PneumothoraxNet, load_imagenet
from pipelines.pneumothorax.preprocess import square
from pipelines.pneumothorax.release import release
from pipelines.training import Average, augment, dice_loss, learning_rate

BATCH = {"mask": 5, "present": 1, "weak_present": 2, "absent": 4, "mined": 1, "weak_absent": 2}
"""Images per step, by group; a phantom is the sixteenth."""
ENCODER_RATE, DECODER_RATE = 4e-4, 1.5e-3
WEIGHT_DECAY = 1e-2
AVERAGE_DECAY = 0.99
AUXILIARY_WEIGHT = 0.2
LABEL_SMOOTHING = 0.03
CONDITIONS: tuple[Condition, ...] = ("none", "right", "none", "left")


@dataclass(frozen=True, slots=True)
class Shelf:
    """Decoded radiographs: uint8 images and masks (N, size, size), labels."""

    images: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    has_mask: NDArray[np.bool_]
    labels: NDArray[np.float32]
    """(N, 1 + auxiliary) of 0, 1, or NaN for unknown; presence first."""
    groups: dict[str, NDArray[np.int64]]


def train(arguments: list[str]) -> int:
    """Run one training; `--resume` goes on where the last run stopped."""
    options = _parse(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    cases = read_cases(options.data) if options.data else ()
    learning = [case for case in cases if case.split == "train" and not case.small]
    judging = [case for case in cases if case.split == "val" and not case.small and case.expert]
    shelf = fill(learning, options.phantoms, options.size * 6 // 5, seed=1000)
    exam = fill(judging, options.phantoms // 10, options.size, seed=1)
    _say(options.out, event="ready", learning=len(shelf.images), judging=len(exam.images))

    network = PneumothoraxNet(len(AUXILIARY)).to(memory_format=torch.channels_last)
    if options.data and not options.resume:
        load_imagenet(network, options.data / "weights" / "mobilenet_v2_imagenet.npz")
    average = Average(network, AVERAGE_DECAY)
    optimiser = torch.optim.AdamW(_rates(network), weight_decay=WEIGHT_DECAY)
    step, spent_s = 0, 0.0
    if options.resume and (options.out / "last.pt").exists():
        saved = torch.load(options.out / "last.pt", weights_only=True)
        network.load_state_dict(saved["network"])
        average.network.load_state_dict(saved["average"])
        average.updates = step = saved["step"]
        optimiser.load_state_dict(saved["optimiser"])
        spent_s = saved["spent_s"]
    draw = np.random.default_rng(options.seed + step)
    random = torch.Generator().manual_seed(options.seed + step)

    while (progress := _progress(options, step, spent_s)) < 1:
        started_at = time.monotonic()
        for group in optimiser.param_groups:
            group["lr"] = group["peak"] * learning_rate(progress)
        rows = _pick(shelf, draw)
        images = torch.from_numpy(shelf.images[rows]).float()[:, None] / 255
        masks = torch.from_numpy(shelf.masks[rows]).float()[:, None]
        images, masks = augment(images, masks, options.size, random)
        network.train()
        mask_logits, label_logits = network(
            (images * 2 - 1).contiguous(memory_format=torch.channels_last)
        )
        loss, parts = _loss(
            mask_logits,
            label_logits,
            masks,
            torch.from_numpy(shelf.labels[rows]),
            torch.from_numpy(shelf.has_mask[rows]),
        )
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        average.update(network)
        step += 1
        spent_s += time.monotonic() - started_at
        if step % 20 == 0:
            _say(options.out, event="step", step=step, progress=round(progress, 4), **parts)
        if step % options.judge_every == 0 or _progress(options, step, spent_s) >= 1:
            marks = judge(average.network, exam)
            _say(options.out, event="judged", step=step, spent_s=round(spent_s), **marks)
            torch.save(average.network.state_dict(), options.out / f"average-{step:05d}.pt")
            torch.save(
                {
                    "network": network.state_dict(),
                    "average": average.network.state_dict(),
                    "optimiser": optimiser.state_dict(),
                    "step": step,
                    "spent_s": spent_s,
                },
                options.out / "last.partial",
            )
            (options.out / "last.partial").replace(options.out / "last.pt")

    best = options.out / f"average-{best_step(options.out):05d}.pt"
    folder = ["--out", str(options.out / "models" / "pneumothorax")]
    source = ["--data", str(options.data)] if options.data else []
    return release(["--checkpoint", str(best), "--size", str(options.size), *folder, *source])


def best_step(out: Path) -> int:
    """Give the step that validation liked best: AUC and Dice together."""
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    marks = {int(line["step"]): line for line in lines if line["event"] == "judged"}

    def worth(step: int) -> float:
        line = marks[step]
        dices = [value for name, value in line.items() if name.startswith("dice_")]
        return float(line.get("auc", 0.0)) + max(dices, default=0.0)

    return max(marks, key=worth)


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="dicom-node train pneumothorax", description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with cxr/ and weights/; none: phantoms")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints and log")
    parser.add_argument("--minutes", type=float, default=60.0, help="time spent in steps")
    parser.add_argument("--steps", type=int, help="number of steps, instead of --minutes")
    parser.add_argument("--size", type=int, default=320, help="network input, multiple of 32")
    parser.add_argument("--phantoms", type=int, default=200, help="number of phantoms to add")
    parser.add_argument("--judge-every", type=int, default=100, help="steps between validations")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true")
    return parser.parse_args(arguments)


def fill(cases: list[Case], phantoms: int, size: int, seed: int) -> Shelf:
    """Decode cases and make phantoms, through the preprocessing of serving."""
    count = len(cases) + phantoms
    images = np.zeros((count, size, size), np.uint8)
    masks = np.zeros((count, size, size), np.uint8)
    has_mask = np.zeros(count, np.bool_)
    labels = np.full((count, 1 + len(AUXILIARY)), np.nan, np.float32)
    groups: dict[str, list[int]] = {}
    for row, case in enumerate(cases):
        images[row] = np.rint(square(open_grey(case.image), None, size)[0] * 255)
        if case.mask is not None:
            masks[row] = small_mask(case.mask, size)
        has_mask[row] = case.mask is not None or (case.expert and not case.present)
        labels[row, 0] = case.present
        if case.findings is not None:
            labels[row, 1:] = [finding in case.findings for finding in AUXILIARY]
        groups.setdefault(_group(case), []).append(row)
    film = min(512, max(192, 3 * size))
    for number in range(phantoms):
        row = len(cases) + number
        condition = CONDITIONS[number % len(CONDITIONS)]
        phantom = chest_phantom(seed + number, condition, rows=film, columns=film)
        images[row] = np.rint(square(phantom.display(), None, size)[0] * 255)
        whole = Image.fromarray(phantom.pneumothorax_mask.astype(np.uint8) * 255)
        masks[row] = np.asarray(whole.resize((size, size), Image.Resampling.BILINEAR)) > 127
        has_mask[row] = True
        labels[row, 0] = condition != "none"
        groups.setdefault("phantom", []).append(row)
    return Shelf(
        images,
        masks,
        has_mask,
        labels,
        {name: np.asarray(rows, np.int64) for name, rows in groups.items()},
    )


def _group(case: Case) -> str:
    if case.source == "weak":
        return "weak_present" if case.present else "weak_absent"
    if case.present:
        return "mask" if case.mask is not None else "present"
    return "absent" if case.expert else "mined"


def _pick(shelf: Shelf, draw: np.random.Generator) -> NDArray[np.int64]:
    """Choose one step's images; a group that is not there is left out."""
    chosen = [
        draw.choice(shelf.groups[name], min(number, len(shelf.groups[name])), replace=False)
        for name, number in BATCH.items()
        if name in shelf.groups
    ]
    if "phantom" in shelf.groups:
        chosen.append(draw.choice(shelf.groups["phantom"], 1 if chosen else 4))
    return np.concatenate(chosen)


def _loss(
    mask_logits: Tensor, label_logits: Tensor, masks: Tensor, labels: Tensor, has_mask: Tensor
) -> tuple[Tensor, dict[str, float]]:
    """Add up what the mask, the presence and the other labels miss."""
    pixels = nn.functional.binary_cross_entropy_with_logits(mask_logits, masks, reduction="none")
    pixels = pixels.mean(dim=(1, 2, 3))
    drawn = has_mask & (masks.sum(dim=(1, 2, 3)) > 0)
    known = ~labels.isnan()
    aims = labels.nan_to_num().clamp(LABEL_SMOOTHING, 1 - LABEL_SMOOTHING)
    answers = nn.functional.binary_cross_entropy_with_logits(label_logits, aims, reduction="none")
    parts = {
        "pixel": (pixels * has_mask).sum() / has_mask.sum().clamp(min=1),
        "dice": (dice_loss(mask_logits, masks) * drawn).sum() / drawn.sum().clamp(min=1),
        "presence": answers[:, 0].mean(),
        "auxiliary": (answers * known)[:, 1:].sum() / known[:, 1:].sum().clamp(min=1),
    }
    loss = 2 * parts["pixel"] + parts["dice"] + parts["presence"]
    loss = loss + AUXILIARY_WEIGHT * parts["auxiliary"]
    return loss, {name: round(part.item(), 4) for name, part in parts.items()}


def judge(network: nn.Module, exam: Shelf) -> dict[str, float]:
    """Measure AUC, and Dice on masked positives at several thresholds."""
    network.eval()
    logits, shares = [], []
    for start in range(0, len(exam.images), 8):
        images = torch.from_numpy(exam.images[start : start + 8]).float()[:, None] / 127.5 - 1
        with torch.no_grad():
            mask, label = network(images.contiguous(memory_format=torch.channels_last))
        logits.append(label[:, 0].numpy())
        shares.append(mask[:, 0].sigmoid().numpy())
    scores, maps = np.concatenate(logits), np.concatenate(shares)
    phantom = np.zeros(len(scores), np.bool_)
    phantom[exam.groups.get("phantom", np.zeros(0, np.int64))] = True
    marks: dict[str, float] = {}
    for name, rows in (("", ~phantom), ("phantom_", phantom)):
        truth = exam.labels[rows, 0]
        if 0 < truth.sum() < len(truth):
            marks[name + "auc"] = round(auc(truth > 0, scores[rows]), 4)
        drawn = rows & exam.has_mask & (exam.masks.sum(axis=(1, 2)) > 0)
        if drawn.any():
            for threshold in (0.2, 0.35, 0.5):
                found = maps[drawn] > threshold
                overlap = (found & (exam.masks[drawn] > 0)).sum(axis=(1, 2))
                total = found.sum(axis=(1, 2)) + exam.masks[drawn].sum(axis=(1, 2))
                marks[f"{name}dice_{threshold}"] = round(float((2 * overlap / total).mean()), 4)
    return marks


def _rates(network: PneumothoraxNet) -> list[dict[str, object]]:
    encoder = [weight for weight in network.encoder.parameters() if weight.requires_grad]
    inside = {id(weight) for weight in network.encoder.parameters()}
    rest = [weight for weight in network.parameters() if id(weight) not in inside]
    return [
        {"params": encoder, "lr": ENCODER_RATE, "peak": ENCODER_RATE},
        {"params": rest, "lr": DECODER_RATE, "peak": DECODER_RATE},
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
