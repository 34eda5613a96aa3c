"""Make a model folder of a checkpoint: export, calibrate, write the contract."""

# ruff: noqa: T201 -- a command prints its result

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from dicom_node.domain.findings import OperatingPoint
from pipelines.measuring import metrics
from pipelines.pneumothorax.cases import AUXILIARY, Case, judges, read_cases
from pipelines.pneumothorax.contract import SOURCES, Facts, as_toml
from pipelines.pneumothorax.network import PneumothoraxNet, ServedNet
from pipelines.pneumothorax.pipeline import PneumothoraxPipeline, read_phantom
from pipelines.pneumothorax.readings import Readings, dice_of, read_all
from pipelines.release.export import LEAST_SLOPE, export, finding_parser, load_average
from pipelines.serving.ensemble import open_ensemble
from pipelines.serving.manifest import (
    Calibration,
    Member,
    ModelManifest,
    PhantomReference,
    load_manifest,
)
from pipelines.serving.session import SharedSession, open_session, sha256_of
from pipelines.serving.table import FILE_NAME

WEIGHTS = "model.onnx"
SENSITIVE, SPECIFIC = 0.90, 0.95
"""What `high_sensitivity` and `high_specificity` reach at least on validation."""
MASK_LEVELS = tuple(round(0.05 * step, 2) for step in range(2, 15))
PHANTOMS = ((1, "none"), (2, "right"), (3, "left"), (4, "none"))


def release(arguments: list[str]) -> int:
    """Write `model.onnx` and `model.toml` from one or more checkpoints."""
    options = _parse(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    _export(options.checkpoint, options.size, options.out / WEIGHTS)
    facts = _draft(options, options.out / WEIGHTS)
    if options.like:
        facts = _like(facts, load_manifest(options.like / options.out.name))
    cases = judges(read_cases(options.data, options.format)) if options.data else []
    facts = _judged(options.out, facts, cases)
    if options.member:
        members = [_member(options, number, facts, cases) for number in range(len(options.member))]
        facts = _judged(options.out, replace(facts, members=members), cases)
    manifest = _write(options.out, facts)
    session = open_ensemble(open_session(manifest), manifest, "presence", "auto", 0)
    references = _references(PneumothoraxPipeline(manifest, SharedSession(session)))
    _write(options.out, replace(facts, references=references))
    return 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    options = finding_parser(__doc__, size=320)
    options.add_argument("--checkpoint", type=Path, nargs="+", required=True, help="averaged")
    options.add_argument("--member", type=Path, action="append", default=[], help="of an ensemble")
    return options.parse_args(arguments)


def _export(checkpoints: list[Path], size: int, weights: Path) -> None:
    network = PneumothoraxNet(len(AUXILIARY))
    load_average(network, checkpoints)
    export(ServedNet(network), size, weights, ("mask", "presence"))


def _judged(out: Path, facts: Facts, cases: list[Case]) -> Facts:
    """Choose calibration and thresholds of what is there; nothing without cases."""
    if not cases:
        return facts
    manifest = _write(out, facts)
    session = open_ensemble(open_session(manifest), manifest, "presence", "auto", 0)
    chosen = _choose(facts, read_all(session, manifest, cases))
    print(f"validation, {1 + len(facts.members)} models: {chosen.validation}")
    return chosen


def _member(options: argparse.Namespace, number: int, lead: Facts, cases: list[Case]) -> Member:
    """Export and calibrate one more file of weights."""
    weights = options.out / f"member-{number + 2}.onnx"
    _export([options.member[number]], options.size, weights)
    alone = replace(lead, weights=weights.name, sha256=sha256_of(weights))
    judged = _judged(options.out, alone, cases)
    return Member(weights, alone.sha256, (Calibration(judged.slope, judged.intercept),))


def _like(facts: Facts, known: ModelManifest) -> Facts:
    """Keep another model's calibration, points and mask level."""
    return replace(
        facts,
        slope=known.calibration.slope,
        intercept=known.calibration.intercept,
        mask_threshold=known.mask_threshold,
        points=list(known.operating_points.values()),
        validation=f"none; calibrated as version {known.version}, {known.sha256[:12]}",
    )


def _draft(options: argparse.Namespace, weights: Path) -> Facts:
    """State what is known before anything was measured."""
    names = ("high_sensitivity", "balanced", "high_specificity")
    return Facts(
        version=options.version,
        weights=weights.name,
        sha256=sha256_of(weights),
        size=options.size,
        slope=1.0,
        intercept=0.0,
        mask_threshold=0.5,
        points=[OperatingPoint(name, 0.5, 0.0, 0.0) for name in names],
        validation="none",
        references=[PhantomReference(seed, condition, 0.0, 0.0) for seed, condition in PHANTOMS],
        sources=options.source or SOURCES,
    )


def _choose(facts: Facts, readings: Readings) -> Facts:
    """Choose calibration and thresholds on the validation split."""
    truth = readings.truth
    slope, intercept = facts.slope, facts.intercept
    if not facts.members:  # the mean of calibrated probabilities is taken as it is
        slope, intercept = metrics.fit_platt(truth, readings.logits)
        slope = max(slope, LEAST_SLOPE)
    shares = 1 / (1 + np.exp(-(slope * readings.logits + intercept)))
    thresholds = {
        "high_sensitivity": metrics.threshold_for_sensitivity(truth, shares, SENSITIVE),
        "balanced": metrics.threshold_for_balance(truth, shares),
        "high_specificity": metrics.threshold_for_specificity(truth, shares, SPECIFIC),
    }
    points = [
        OperatingPoint(
            name,
            threshold,
            metrics.sensitivity(truth, shares >= threshold),
            metrics.specificity(truth, shares >= threshold),
        )
        for name, threshold in thresholds.items()
    ]
    overlaps = {level: dice_of(readings, level)[0] for level in MASK_LEVELS}
    marks = {level: float(found.mean()) for level, found in overlaps.items() if len(found)}
    drawn = f", Dice {max(marks.values()):.3f}" if marks else "; no masks"
    return replace(
        facts,
        slope=slope,
        intercept=intercept,
        points=points,
        mask_threshold=max(marks, key=lambda level: marks[level], default=facts.mask_threshold),
        validation=(
            f"{len(truth)} images, {int(truth.sum())} positive, AUC "
            f"{metrics.auc(truth, readings.logits):.3f}{drawn}"
        ),
    )


def _references(pipeline: PneumothoraxPipeline) -> list[PhantomReference]:
    """Read the phantoms, to compare with later."""
    found = []
    for reference in pipeline.manifest.constancy.references:
        probability, mask_mm2 = read_phantom(pipeline, reference)
        found.append(replace(reference, probability=probability, mask_mm2=mask_mm2))
    return found


def _write(folder: Path, facts: Facts) -> ModelManifest:
    """Write `model.toml`, and read it back as serving will."""
    (folder / FILE_NAME).write_text(as_toml(facts), encoding="utf-8")
    return load_manifest(folder)


if __name__ == "__main__":
    import sys

    raise SystemExit(release(sys.argv[1:]))
