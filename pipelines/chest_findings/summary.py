"""Tables of a model's figures, as the finding tasks print them."""

# ruff: noqa: T201 -- a command prints its result

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dicom_node.domain.errors import BadSettings
from pipelines import metrics
from pipelines.chest_findings.cases import Case, read_cases
from pipelines.chest_findings.reading import SharedModel, open_model
from pipelines.chest_findings.readings import Readings, read_all
from pipelines.labelled import Label, LabelledManifest
from pipelines.metrics import Estimate, Flags, Numbers

MODELS = Path(__file__).resolve().parents[2] / "models"
REPEATS = 1000
LEAST_CASES = 5
"""A group with fewer positives or negatives says nothing."""
Row = NDArray[np.int64]
Report = Mapping[str, Mapping[str, object]]


def options_of(task: str, arguments: list[str]) -> argparse.Namespace:
    """Read the options that every task's evaluation takes."""
    parser = argparse.ArgumentParser(prog=f"dicom-node evaluate {task}")
    parser.add_argument("--data", type=Path, required=True, help="folder that holds cxr/")
    parser.add_argument("--models", type=Path, default=MODELS, help="folder of model folders")
    parser.add_argument("--split", choices=["train", "val", "test"], default="test")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--json", type=Path, help="write the table there, too")
    return parser.parse_args(arguments)


def read_split(
    task: str, options: argparse.Namespace, wanted: Callable[[Case], bool]
) -> tuple[SharedModel, Readings]:
    """Let the task's model read the wanted cases of the split; BadSettings if none."""
    model = open_model(options.models, task, options.device, 0)
    cases = [c for c in read_cases(options.data) if c.split == options.split and wanted(c)]
    if not cases:
        raise BadSettings(f"--data {options.data}: no case for {task} in split {options.split!r}")
    return model, read_all(model.session, model.manifest, cases)


def label_of(manifest: LabelledManifest, name: str) -> Label:
    """Give one label of a manifest."""
    (label,) = (one for one in manifest.labels if one.name == name)
    return label


def probabilities(label: Label, logits: Numbers) -> Numbers:
    """Calibrate logits."""
    exponent = label.calibration.slope * logits + label.calibration.intercept
    return np.asarray(1 / (1 + np.exp(-exponent)), np.float64)


def of_label(label: Label, readings: Readings) -> dict[str, object]:
    """Give every number of one label on some readings."""
    part = readings.known(label.name)
    truth, logits = part.of_label(label.name)
    found: dict[str, object] = {"images": len(truth), "positive": int(truth.sum())}
    if min(int(truth.sum()), int((~truth).sum())) < LEAST_CASES:
        return found | {"too few": f"fewer than {LEAST_CASES} of either kind"}
    shares = probabilities(label, logits)
    found["auc"] = auc_estimate(truth, logits, part.patients)
    found["pr_auc"] = round(average_precision(truth, logits), 4)
    found["brier"] = round(metrics.brier(truth, shares), 4)
    found["ece"] = round(metrics.calibration_error(truth, shares), 4)
    for name, point in label.operating_points.items():
        found[name] = at_point(truth, shares >= point.threshold) | {"threshold": point.threshold}
    return found


def auc_estimate(truth: Flags, scores: Numbers, patients: list[str]) -> dict[str, float]:
    """Give the AUC with its interval over patients."""
    return in_words(
        metrics.bootstrap(lambda rows: metrics.auc(truth[rows], scores[rows]), patients, REPEATS)
    )


def at_point(truth: Flags, called: Flags) -> dict[str, float]:
    """Give sensitivity, specificity, PPV, NPV and F1 of a decision."""
    hits = int((truth & called).sum())
    values = {
        "sensitivity": metrics.sensitivity(truth, called),
        "specificity": metrics.specificity(truth, called),
        "ppv": hits / max(int(called.sum()), 1),
        "npv": float((~truth & ~called).sum() / max(int((~called).sum()), 1)),
        "f1": 2 * hits / max(int(truth.sum()) + int(called.sum()), 1),
    }
    return {name: round(value, 4) for name, value in values.items()}


def average_precision(truth: Flags, scores: Numbers) -> float:
    """Give the area under the precision-recall curve (average precision)."""
    order = np.argsort(-scores, kind="stable")
    hits = truth[order]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(precision[hits].mean()) if hits.any() else float("nan")


def in_words(estimate: Estimate) -> dict[str, float]:
    """Round an estimate for a table."""
    return {name: round(value, 4) for name, value in asdict(estimate).items()}


def tell(model: SharedModel, options: argparse.Namespace, report: Report) -> None:
    """Print the table, and write it as JSON where it is wanted."""
    manifest = model.manifest
    print(f"{manifest.name} {manifest.version} on split {options.split!r}, {model.session.device}")
    for group, found in report.items():
        print(f"\n{group}")
        for name, value in found.items():
            print(f"  {name:24} {_words(value)}")
    if options.json:
        told = {
            "model": manifest.version,
            "sha256": manifest.sha256,
            "split": options.split,
            "groups": report,
        }
        options.json.write_text(json.dumps(told, indent=2) + "\n")


def _words(value: object) -> str:
    if isinstance(value, dict) and "low" in value:
        return f"{value['value']:.3f} (95 % CI {value['low']:.3f} to {value['high']:.3f})"
    if isinstance(value, dict):
        return ", ".join(f"{name} {number:.3f}" for name, number in value.items())
    return str(value)
