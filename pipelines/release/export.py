"""From a checkpoint to a model folder, as every task's release goes."""

# ruff: noqa: T201 -- a command prints its result

import argparse
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from pipelines.datasets.catalogue import AUTO, FORMATS
from pipelines.release.contract import write_manifest
from pipelines.serving.labelled import LabelledManifest
from pipelines.serving.manifest import WEIGHTS, ModelManifest
from pipelines.training.augment import average_weights

N = TypeVar("N", bound=nn.Module)
S = TypeVar("S", ModelManifest, LabelledManifest)
LARGEST_DIFFERENCE = 1e-3
"""Between what torch and ONNX say."""
LEAST_SLOPE = 1e-3
"""Of a calibration: a network that is worse than chance is not turned about."""


@dataclass(frozen=True, slots=True)
class Hooks(Generic[S]):
    """What a task's release does in its own way."""

    reread: Callable[[S], S]
    """Lets the model read its phantoms, to compare with later."""
    choose: Callable[[S], S] | None
    """Chooses calibration, thresholds and cuts on validation; None without images."""


def parser(words: str | None, size: int, exported: bool = True) -> argparse.ArgumentParser:
    """Give the options that every task's release has; `exported`: a network may be there."""
    options = argparse.ArgumentParser(prog="release", description=words)
    options.add_argument("--data", type=Path, help="labelled images; none: uncalibrated")
    options.add_argument("--out", type=Path, required=True, help="the model's folder")
    options.add_argument("--size", type=int, default=size)
    options.add_argument("--version", default="0.1.0")
    words = "averaged; none: the network that is there" if exported else "averaged"
    options.add_argument("--checkpoint", type=Path, nargs="+", required=not exported, help=words)
    return options


def finding_parser(words: str | None, size: int) -> argparse.ArgumentParser:
    """Give the options of releases that any labelled set may calibrate."""
    options = parser(words, size, exported=False)
    options.add_argument("--format", choices=FORMATS, default=AUTO, help="of --data")
    options.add_argument(
        "--like", type=Path, help="folder of models whose calibration is kept; for want of --data"
    )
    options.add_argument(
        "--source", action="append", default=[], help="what it was trained on, instead of our sets"
    )
    return options


def make_folder(folder: Path, draft: S, hooks: Hooks[S], weights: str = WEIGHTS) -> None:
    """Choose what validation decides, read the phantoms, write `model.toml`.

    `draft` states what is known before anything was measured; `weights` is the
    network's file as seen from `folder`.
    """
    manifest = draft
    if hooks.choose is not None:
        manifest = hooks.choose(draft)
        print(f"{manifest.name}: {manifest.validation}")
    write_manifest(folder, hooks.reread(manifest), weights)


def filled(network: N, checkpoints: Sequence[Path]) -> N:
    """Fill a network with the mean of checkpoints of one run."""
    states = [torch.load(path, weights_only=True, map_location="cpu") for path in checkpoints]
    network.load_state_dict(average_weights(states))
    return network


def export(served: nn.Module, size: int, path: Path, outputs: tuple[str, ...]) -> None:
    """Write an ONNX file that answers as torch does, or end the command."""
    random = torch.Generator().manual_seed(0)
    example = torch.rand(1, 1, size, size, generator=random) * 2 - 1
    path.parent.mkdir(parents=True, exist_ok=True)
    difference = export_onnx(served, example, path, outputs)
    print(f"largest difference between torch and ONNX: {difference:.2g}")
    if difference > LARGEST_DIFFERENCE:
        raise SystemExit(f"ONNX and torch differ by {difference}")


def export_onnx(network: nn.Module, example: Tensor, path: Path, outputs: tuple[str, ...]) -> float:
    """Write an ONNX file and give the largest difference to torch.

    The batch is dynamic; the check runs with batches of one and of two.
    """
    network.eval()
    names = {"image": {0: "batch"}, **{name: {0: "batch"} for name in outputs}}
    with warnings.catch_warnings():
        # The exporter through torch.export takes a minute for the same graph.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            network,
            (example,),
            path,
            input_names=["image"],
            output_names=list(outputs),
            dynamic_axes=names,
            opset_version=17,
            dynamo=False,
        )
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    worst = 0.0
    for count in (1, 2):
        batch = example[:1].repeat(count, 1, 1, 1)
        with torch.no_grad():
            expected = network(batch)
        answers = session.run(None, {"image": batch.numpy()})
        for want, got in zip(expected, answers, strict=True):
            worst = max(worst, float(np.abs(want.numpy() - got).max()))
    return worst
