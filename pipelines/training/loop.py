"""One training run: steps until a deadline, judged, resumed."""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from pipelines.datasets.catalogue import AUTO, FORMATS
from pipelines.training.augment import Average, learning_rate
from pipelines.training.curves import write_curves
from pipelines.training.rundir import LAST, best, say, stale

WEIGHT_DECAY = 1e-2
LONGEST_GRADIENT = 5.0
SAY_EVERY, SAVE_EVERY = 20, 50
TUNING_RATE = 0.1
"""Share of the learning rates when a finished network is taught a site's corrections."""

Losses = dict[str, Tensor]
"""The parts of a loss by name; they are added up."""
Marks = dict[str, float]
"""What validation measured by name; `worth` decides which step is best."""


@dataclass(frozen=True, slots=True)
class Draws:
    """Where a step's chance comes from, and when and where it happens."""

    numpy: np.random.Generator
    torch: torch.Generator
    progress: float
    """Share of the run that is over, 0..1."""

    @property
    def device(self) -> torch.device:
        """Where the network and the batch are."""
        return self.torch.device


Step = Callable[[nn.Module, Draws], Losses]
Judge = Callable[[nn.Module], Marks]


def parser(task: str, words: str | None, minutes: float, size: int) -> argparse.ArgumentParser:
    """Give the options that every task's training has."""
    options = argparse.ArgumentParser(prog=f"dicom-node train {task}", description=words)
    options.add_argument("--data", type=Path, help="folder of labelled images; none: phantoms")
    options.add_argument("--imagenet", type=Path, help="the trunk's weights; none: DATA/weights/")
    options.add_argument("--out", type=Path, required=True, help="folder for checkpoints and log")
    options.add_argument("--minutes", type=float, default=minutes, help="time spent in steps")
    options.add_argument("--steps", type=int, help="number of steps, instead of --minutes")
    options.add_argument("--size", type=int, default=size, help="network input, multiple of 32")
    options.add_argument("--phantoms", type=int, default=60, help="number of phantoms to add")
    options.add_argument("--judge-every", type=int, default=100, help="steps between validations")
    options.add_argument(
        "--patience", type=int, default=0, help="stop after N validations without gain; 0: never"
    )
    options.add_argument("--threads", type=int, default=torch.get_num_threads())
    options.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--resume", action="store_true", help="go on where the last run stopped")
    options.add_argument(
        "--average", type=float, default=0.99, help="decay of the running average of the weights"
    )
    options.add_argument("--rate", type=float, help="factor on the learning rates")
    options.add_argument(
        "--equalise", type=float, default=0.0, help="share of images whose histogram is flattened"
    )
    return options


def finding_parser(
    task: str, words: str | None, minutes: float, size: int
) -> argparse.ArgumentParser:
    """Give the options of the tasks that learn from any labelled set."""
    options = parser(task, words, minutes, size)
    options.add_argument("--format", choices=FORMATS, default=AUTO, help="of --data")
    options.add_argument(
        "--start", type=Path, nargs="+", help="checkpoints (.pt, averaged) or one model.onnx"
    )
    options.add_argument(
        "--from-feedback", type=Path, metavar="DIR", help="corrected cases to learn from"
    )
    options.add_argument(
        "--weigh", action="append", default=[], metavar="SOURCE=W", help="weight of its labels"
    )
    return options


def imagenet_of(options: argparse.Namespace) -> Path | None:
    """Find the trunk's first weights, where there are any."""
    if options.imagenet:
        return Path(options.imagenet)
    if options.data is None:
        return None
    path: Path = options.data / "weights" / "mobilenet_v2_imagenet.npz"
    return path if path.is_file() else None


def device_of(network: nn.Module) -> torch.device:
    """Say where a network is."""
    device: torch.device = next(network.parameters()).device
    return device


def to_input(images: Tensor) -> Tensor:
    """Make a network's input of a 0..1 batch: -1..1, channels last."""
    return (images * 2 - 1).contiguous(memory_format=torch.channels_last)


def mixed(device: torch.device) -> torch.autocast:
    """Compute in bfloat16 where the device has it; elsewhere it is slower."""
    if device.type == "cuda":
        return torch.autocast("cuda", torch.bfloat16, enabled=torch.cuda.is_bf16_supported(False))
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


@dataclass(slots=True)
class _Run:
    """What a checkpoint holds: networks, optimiser, how far the run is."""

    network: nn.Module
    average: Average
    optimiser: torch.optim.Optimizer
    step: int = 0
    spent_s: float = 0.0
    beside: list[Tensor] = field(default_factory=list)
    """Weights in the groups that are none of the network's."""

    def save(self, path: Path) -> None:
        """Write the checkpoint; a kill leaves the one before."""
        saved = {
            "network": self.network.state_dict(),
            "average": self.average.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "beside": [weight.data for weight in self.beside],
            "step": self.step,
            "spent_s": self.spent_s,
        }
        partial = path.with_suffix(".partial")
        torch.save(saved, partial)
        partial.replace(path)

    def load(self, path: Path) -> None:
        """Take up a checkpoint."""
        saved = torch.load(path, weights_only=True, map_location=device_of(self.network))
        self.network.load_state_dict(saved["network"])
        self.average.network.load_state_dict(saved["average"])
        self.optimiser.load_state_dict(saved["optimiser"])
        for weight, value in zip(self.beside, saved["beside"], strict=True):
            weight.data.copy_(value)
        self.average.updates = self.step = saved["step"]
        self.spent_s = saved["spent_s"]


def run(
    network: nn.Module,
    groups: list[dict[str, object]],
    options: argparse.Namespace,
    take_step: Step,
    judge: Judge,
) -> Path:
    """Train until time or steps are up; give the best averaged checkpoint.

    Writes `log.jsonl`, `average-<step>.pt` at each validation, `last.pt` for
    `--resume` and `curves.svg`. Time counts in steps only, so that a pause
    costs none of it.
    """
    out: Path = options.out
    state = _begin(network, groups, options)
    draw = np.random.default_rng([options.seed, state.step])
    random = torch.Generator(device_of(network)).manual_seed(1000 * options.seed + state.step)
    with _bar() as show:
        while (progress := _progress(options, state)) < 1:
            losses = _learn(state, take_step, Draws(draw, random, progress), options)
            ended = _progress(options, state) >= 1
            if state.step % SAY_EVERY == 0 or ended:
                parts = {name: round(part.item(), 4) for name, part in losses.items()}
                say(out, event="step", step=state.step, progress=round(progress, 4), **parts)
                show(state.step, progress, sum(parts.values()))
            due = ended or state.step % options.judge_every == 0
            if due:
                _judge(state, judge, out)
            if due or state.step % SAVE_EVERY == 0:
                state.save(out / LAST)
            if due and not ended and stale(out, options.patience):
                say(out, event="stopped", step=state.step, patience=options.patience)
                break
    write_curves(out)
    return best(out)


def _begin(
    network: nn.Module, groups: list[dict[str, object]], options: argparse.Namespace
) -> _Run:
    inside = {id(weight) for weight in network.parameters()}
    optimiser = torch.optim.AdamW(groups, weight_decay=WEIGHT_DECAY)
    held = [weight for group in optimiser.param_groups for weight in group["params"]]
    beside = [weight for weight in held if id(weight) not in inside]
    state = _Run(network, Average(network, options.average), optimiser, beside=beside)
    if options.resume and (options.out / LAST).exists():
        state.load(options.out / LAST)
    return state


def _learn(state: _Run, take_step: Step, draws: Draws, options: argparse.Namespace) -> Losses:
    """Take one step."""
    started_at = time.monotonic()
    tuning = getattr(options, "from_feedback", None) is not None
    rate = options.rate or (TUNING_RATE if tuning else 1.0)
    for group in state.optimiser.param_groups:
        group["lr"] = rate * group["peak"] * learning_rate(draws.progress)
    state.network.train()
    if tuning:
        hold_norms(state.network)
    losses = take_step(state.network, draws)
    state.optimiser.zero_grad(set_to_none=True)
    torch.stack(list(losses.values())).sum().backward()
    nn.utils.clip_grad_norm_(state.network.parameters(), LONGEST_GRADIENT)
    state.optimiser.step()
    state.average.update(state.network)
    state.step += 1
    state.spent_s += time.monotonic() - started_at
    return losses


def hold_norms(network: nn.Module) -> None:
    """Keep batch statistics: a few corrected cases would not measure better ones."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def _judge(state: _Run, judge: Judge, out: Path) -> None:
    marks = judge(state.average.network)
    say(out, event="judged", step=state.step, spent_s=round(state.spent_s), **marks)
    torch.save(state.average.network.state_dict(), out / f"average-{state.step:05d}.pt")


@contextmanager
def _bar() -> Iterator[Callable[[int, float, float], None]]:
    """Show how far the run is, on a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("training", total=1.0)

        def show(step: int, progress: float, loss: float) -> None:
            bar.update(task, completed=progress, description=f"step {step}, loss {loss:.3f}")

        yield show


def _progress(options: argparse.Namespace, state: _Run) -> float:
    if options.steps is not None:
        return float(state.step / options.steps)
    return float(state.spent_s / (60 * options.minutes))
