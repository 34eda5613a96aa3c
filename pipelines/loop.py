"""One training run: steps until a deadline, judged, resumed."""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from pipelines.training import Average, learning_rate

AVERAGE_DECAY = 0.99
WEIGHT_DECAY = 1e-2
LONGEST_GRADIENT = 5.0

Losses = dict[str, Tensor]
"""The parts of a loss by name; they are added up."""
Marks = dict[str, float]
"""What validation measured by name; `worth` decides which step is best."""
Step = Callable[[nn.Module, np.random.Generator, torch.Generator], Losses]
Judge = Callable[[nn.Module], Marks]


def parser(task: str, words: str | None, minutes: float, size: int) -> argparse.ArgumentParser:
    """Give the options that every task's training has."""
    options = argparse.ArgumentParser(prog=f"dicom-node train {task}", description=words)
    options.add_argument("--data", type=Path, help="folder with cxr/ and weights/; none: phantoms")
    options.add_argument("--out", type=Path, required=True, help="folder for checkpoints and log")
    options.add_argument("--minutes", type=float, default=minutes, help="time spent in steps")
    options.add_argument("--steps", type=int, help="number of steps, instead of --minutes")
    options.add_argument("--size", type=int, default=size, help="network input, multiple of 32")
    options.add_argument("--phantoms", type=int, default=60, help="number of phantoms to add")
    options.add_argument("--judge-every", type=int, default=100, help="steps between validations")
    options.add_argument("--threads", type=int, default=torch.get_num_threads())
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--resume", action="store_true", help="go on where the last run stopped")
    return options


def mixed() -> torch.autocast:
    """Compute in bfloat16 where the processor has it; elsewhere it is slower."""
    return torch.autocast("cpu", torch.bfloat16, enabled=torch.cpu._is_avx512_bf16_supported())


def rates(
    trunk: nn.Module, network: nn.Module, slow: float, fast: float
) -> list[dict[str, object]]:
    """Group the weights: the trunk learns at `slow`, what is new at `fast`."""
    inside = {id(weight) for weight in trunk.parameters()}
    old = [weight for weight in trunk.parameters() if weight.requires_grad]
    new = [weight for weight in network.parameters() if id(weight) not in inside]
    return [
        {"params": old, "lr": slow, "peak": slow},
        {"params": new, "lr": fast, "peak": fast},
    ]


def run(
    network: nn.Module,
    groups: list[dict[str, object]],
    options: argparse.Namespace,
    take_step: Step,
    judge: Judge,
) -> Path:
    """Train until time or steps are up; give the best averaged checkpoint.

    Writes `log.jsonl`, `average-<step>.pt` at each validation and `last.pt` for
    `--resume`. Time counts in steps only, so that a pause costs none of it.
    """
    out: Path = options.out
    average = Average(network, AVERAGE_DECAY)
    optimiser = torch.optim.AdamW(groups, weight_decay=WEIGHT_DECAY)
    step, spent_s = 0, 0.0
    if options.resume and (out / "last.pt").exists():
        saved = torch.load(out / "last.pt", weights_only=True)
        network.load_state_dict(saved["network"])
        average.network.load_state_dict(saved["average"])
        optimiser.load_state_dict(saved["optimiser"])
        average.updates = step = saved["step"]
        spent_s = saved["spent_s"]
    draw = np.random.default_rng([options.seed, step])
    random = torch.Generator().manual_seed(1000 * options.seed + step)
    while (progress := _progress(options, step, spent_s)) < 1:
        started_at = time.monotonic()
        for group in optimiser.param_groups:
            group["lr"] = group["peak"] * learning_rate(progress)
        network.train()
        losses = take_step(network, draw, random)
        optimiser.zero_grad(set_to_none=True)
        torch.stack(list(losses.values())).sum().backward()
        nn.utils.clip_grad_norm_(network.parameters(), LONGEST_GRADIENT)
        optimiser.step()
        average.update(network)
        step += 1
        spent_s += time.monotonic() - started_at
        if step % 20 == 0:
            parts = {name: round(part.item(), 4) for name, part in losses.items()}
            say(out, event="step", step=step, progress=round(progress, 4), **parts)
        if step % options.judge_every == 0 or _progress(options, step, spent_s) >= 1:
            say(out, event="judged", step=step, spent_s=round(spent_s), **judge(average.network))
            torch.save(average.network.state_dict(), out / f"average-{step:05d}.pt")
            saved = {
                "network": network.state_dict(),
                "average": average.network.state_dict(),
                "optimiser": optimiser.state_dict(),
                "step": step,
                "spent_s": spent_s,
            }
            torch.save(saved, out / "last.partial")
            (out / "last.partial").replace(out / "last.pt")
    return best(out)


def best(out: Path) -> Path:
    """Give the checkpoint that validation liked best."""
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    worth = {line["step"]: line["worth"] for line in lines if line["event"] == "judged"}
    return out / f"average-{max(worth, key=lambda step: worth[step]):05d}.pt"


def say(out: Path, **words: object) -> None:
    """Append one line to the run's log."""
    with (out / "log.jsonl").open("a") as log:
        log.write(json.dumps(words) + "\n")


def _progress(options: argparse.Namespace, step: int, spent_s: float) -> float:
    if options.steps is not None:
        return float(step / options.steps)
    return float(spent_s / (60 * options.minutes))
