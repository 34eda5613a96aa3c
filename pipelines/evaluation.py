"""Measure a shipped model on a split, through the serving code."""

# ruff: noqa: T201 -- a command prints its result

import argparse
import importlib
import importlib.util
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dicom_node.domain.errors import BadSettings
from pipelines import metrics
from pipelines.datasets.picture import open_grey, open_mask
from pipelines.manifest import ModelManifest
from pipelines.metrics import Estimate, Flags, Numbers
from pipelines.pneumothorax.cases import Case, read_cases
from pipelines.pneumothorax.measure import plausible
from pipelines.pneumothorax.pipeline import infer, load
from pipelines.pneumothorax.preprocess import Geometry, square, standard_from_network
from pipelines.session import Runner

MODELS = Path(__file__).resolve().parents[1] / "models"


@dataclass(frozen=True, slots=True)
class Readings:
    """What the model said about each case; arrays run along the cases."""

    cases: tuple[Case, ...]
    truth: Flags
    logits: Numbers
    maps: NDArray[np.uint8]
    """Mask probabilities on the network's grid, times 255."""

    def only(self, rows: Flags) -> "Readings":
        """Keep some of the cases."""
        chosen = tuple(case for case, keep in zip(self.cases, rows, strict=True) if keep)
        return Readings(chosen, self.truth[rows], self.logits[rows], self.maps[rows])


def evaluate(arguments: list[str]) -> int:
    """Print the table of a task's model on one split.

    A task with an `evaluation` module of its own is measured by that.
    """
    task = arguments[0] if arguments else ""
    if task.isidentifier() and importlib.util.find_spec(f"pipelines.{task}"):
        own = f"pipelines.{task}.evaluation"
        if importlib.util.find_spec(own):
            return int(importlib.import_module(own).evaluate(arguments[1:]))
    options = _parse(arguments)
    pipeline = load(options.models, options.device)
    cases = [c for c in read_cases(options.data) if c.split == options.split and c.expert]
    if not cases:
        raise BadSettings(f"--data {options.data}: no expert labels in split {options.split!r}")
    readings = read_all(pipeline.session, pipeline.manifest, cases)
    parts = {name: part for name, part in groups(readings).items() if part.cases}
    report = {name: summary(pipeline.manifest, part) for name, part in parts.items()}
    tell(pipeline.manifest, options.split, report, options.json)
    return 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="dicom-node evaluate", description=__doc__)
    parser.add_argument("task", choices=["pneumothorax"], help="the reading task")
    parser.add_argument("--data", type=Path, required=True, help="folder that holds cxr/")
    parser.add_argument("--models", type=Path, default=MODELS, help="folder of model folders")
    parser.add_argument("--split", choices=["train", "val", "test"], default="test")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--json", type=Path, help="write the table there, too")
    return parser.parse_args(arguments)


def read_all(session: Runner, manifest: ModelManifest, cases: list[Case]) -> Readings:
    """Read every case's image; a case's own view is the standard one."""
    size = manifest.input.size
    logits = np.zeros(len(cases))
    maps = np.zeros((len(cases), size, size), np.uint8)
    for row, case in enumerate(cases):
        pixels = open_grey(case.image)
        logits[row], shares, _ = infer(session, manifest, square(pixels, None, size)[0])
        maps[row] = np.rint(shares * 255)
    return Readings(tuple(cases), np.array([case.present for case in cases]), logits, maps)


def groups(readings: Readings) -> dict[str, Readings]:
    """Split the readings the way a model card shows them."""
    small = np.array([case.small for case in readings.cases])
    tube = np.array([case.chest_tube for case in readings.cases])
    ap_view = np.array([case.view == "AP" for case in readings.cases])
    chexnet = np.array([case.chexnet is not None for case in readings.cases])
    return {
        "448 px images": readings.only(~small),
        "448 px, no chest tube": readings.only(~small & ~tube),
        "448 px, PA": readings.only(~small & ~ap_view),
        "448 px, AP": readings.only(~small & ap_view),
        "448 px, with CheXNet": readings.only(~small & chexnet),
        "128 px thumbnails": readings.only(small),
        "all": readings,
    }


def summary(manifest: ModelManifest, readings: Readings) -> dict[str, object]:
    """Give every number of one group of cases."""
    truth, patients = readings.truth, [case.patient_id for case in readings.cases]
    slope, intercept = manifest.calibration.slope, manifest.calibration.intercept
    shares = 1 / (1 + np.exp(-(slope * readings.logits + intercept)))
    found: dict[str, object] = {
        "images": len(truth),
        "positive": int(truth.sum()),
        "auc": rounded(
            metrics.bootstrap(lambda rows: metrics.auc(truth[rows], shares[rows]), patients)
        ),
        "brier": round(metrics.brier(truth, shares), 4),
        "calibration_error": round(metrics.calibration_error(truth, shares), 4),
    }
    for name, point in manifest.operating_points.items():
        called = shares >= point.threshold
        found[name] = {
            "threshold": point.threshold,
            "sensitivity": round(metrics.sensitivity(truth, called), 4),
            "specificity": round(metrics.specificity(truth, called), 4),
        }
    compared = np.array([np.nan if c.chexnet is None else c.chexnet for c in readings.cases])
    if len(compared) and np.isfinite(compared).all():
        found["chexnet_auc"] = rounded(
            metrics.bootstrap(lambda rows: metrics.auc(truth[rows], compared[rows]), patients)
        )
    overlaps, owners = dice_of(readings, manifest.mask_threshold)
    if len(overlaps):
        found["masks"] = len(overlaps)
        found["dice"] = rounded(
            metrics.bootstrap(lambda rows: float(overlaps[rows].mean()), owners)
        )
    return found


def dice_of(readings: Readings, threshold: float) -> tuple[Numbers, list[str]]:
    """Give Dice on every masked positive, at the size of the drawn mask."""
    overlaps, owners = [], []
    for case, shares in zip(readings.cases, readings.maps, strict=True):
        if case.mask is None:
            continue
        drawn = open_mask(case.mask)
        overlaps.append(metrics.dice(mask_at(shares, threshold, drawn.shape), drawn))
        owners.append(case.patient_id)
    return np.asarray(overlaps), owners


def mask_at(shares: NDArray[np.uint8], threshold: float, shape: tuple[int, ...]) -> Flags:
    """Draw the mask of a stored map at (rows, columns), as serving does."""
    level = shares.astype(np.float32) / np.float32(255)
    noise = (level > threshold) & ~plausible(level, threshold)
    kept = np.where(noise, np.float32(0), level)
    geometry = Geometry((shape[0], shape[1]), (shape[0], shape[1]), None)
    return np.asarray(standard_from_network(kept, geometry) > threshold, np.bool_)


def rounded(estimate: Estimate) -> dict[str, float]:
    """Give an estimate as it is printed and stored."""
    return {name: round(value, 4) for name, value in asdict(estimate).items()}


def tell(
    manifest: ModelManifest,
    split: str,
    report: Mapping[str, Mapping[str, object]],
    json_file: Path | None,
) -> None:
    """Show the table on the terminal, and write it where a file is named."""
    if json_file:
        words = {
            "model": manifest.version,
            "sha256": manifest.sha256,
            "split": split,
            "groups": report,
        }
        json_file.write_text(json.dumps(words, indent=2) + "\n")
    print(f"{manifest.name} {manifest.version} on split {split!r}")
    for group, found in report.items():
        print(f"\n{group}")
        for name, value in found.items():
            print(f"  {name:18} {_words(value)}")


def _words(value: object) -> str:
    if isinstance(value, dict) and "low" in value:
        return f"{value['value']:.3f} (95 % CI {value['low']:.3f} to {value['high']:.3f})"
    if isinstance(value, dict):
        return ", ".join(f"{name} {number:.3f}" for name, number in value.items())
    return str(value)
