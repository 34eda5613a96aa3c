"""Make a model folder of a checkpoint: export, calibrate, write the contract."""

# ruff: noqa: T201 -- a command prints its result

import argparse
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import onnx
from onnx import numpy_helper

from pipelines.measuring import metrics
from pipelines.measuring.binary import measured_point
from pipelines.pneumothorax import codes
from pipelines.pneumothorax.arrays import decode
from pipelines.pneumothorax.cases import AUXILIARY, Case, judges, read_cases
from pipelines.pneumothorax.judging import best_mix
from pipelines.pneumothorax.network import PneumothoraxNet, ServedNet
from pipelines.pneumothorax.pipeline import NAME, PneumothoraxPipeline, open_model
from pipelines.pneumothorax.readings import dice_of, read_all
from pipelines.release.contract import (
    OTHERS_LICENCES,
    UNFITTED,
    grey_square,
    unmeasured,
    unread,
)
from pipelines.release.export import (
    LEAST_SLOPE,
    Hooks,
    export,
    filled,
    finding_parser,
    make_folder,
)
from pipelines.serving.manifest import (
    WEIGHTS,
    Calibration,
    Member,
    ModelManifest,
    load_manifest,
)
from pipelines.serving.session import sha256_of

OUTPUTS = ("mask", "presence")
POINTS = ("high_sensitivity", "balanced", "high_specificity")
SENSITIVE, SPECIFIC = 0.90, 0.95
"""What `high_sensitivity` and `high_specificity` reach at least on validation."""
MASK_LEVELS = tuple(round(0.05 * step, 2) for step in range(2, 15))
MASK_TOLERANCE_MM2 = 150.0
PHANTOMS = ((1, "none"), (2, "right"), (3, "left"), (4, "none"))
SOURCES = (
    "NIH ChestX-ray14, copies of 448 px, training split (SIIM-ACR, Google and box labels first)",
    "SIIM-ACR pneumothorax stage 2, copies of 384 px, labelled by a published classifier",
    "digital phantoms of pipelines/phantom",
    "ImageNet MobileNetV2 weights derived from Google Coral, as the encoder's start",
)
LICENCES = (
    "NIH ChestX-ray14: NIH Clinical Center, free use with attribution (Wang et al., CVPR 2017)",
    "SIIM-ACR masks and labels: SIIM/ACR/STR under the Kaggle competition rules (research)",
    "encoder weights: Apache-2.0",
)


def release(arguments: list[str]) -> int:
    """Write `model.onnx` and `model.toml` from one or more checkpoints."""
    options = _parse(arguments)
    cases = judges(read_cases(options.data, options.format)) if options.data else []
    draft = _draft(options, _export(options, options.checkpoint, WEIGHTS, cases))
    if options.like:
        draft = _like(draft, load_manifest(options.like / options.out.name))
    choose = partial(_choose, cases) if cases else None
    if options.member:
        draft = draft if choose is None else choose(draft)
        members = [_member(options, number, draft, cases) for number in range(len(options.member))]
        draft = replace(draft, members=tuple(members))
    make_folder(options.out, draft, Hooks(_reread, choose))
    return 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    options = finding_parser(__doc__, size=320)
    options.add_argument("--member", type=Path, action="append", default=[], help="of an ensemble")
    return options.parse_args(arguments)


def _export(
    options: argparse.Namespace, checkpoints: Sequence[Path], name: str, cases: list[Case]
) -> Path:
    """Write the weights; cases choose how much the presence listens to the mask."""
    network = filled(PneumothoraxNet(len(AUXILIARY)), checkpoints)
    mix = mix_of(options.like / options.out.name / WEIGHTS) if options.like else 0.0
    if {case.present for case in cases} == {False, True}:
        mix = best_mix(network, decode(cases, 0, options.size, seed=0))
        print(f"share of the mask's evidence in the presence: {mix}")
    weights: Path = options.out / name
    export(ServedNet(network, mix), options.size, weights, OUTPUTS)
    return weights


def mix_of(weights: Path) -> float:
    """Read from exported weights how much the presence listens to the mask."""
    held = {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in onnx.load(weights).graph.initializer
    }
    return float(held["mix"]) if "mix" in held else 0.0


def _draft(options: argparse.Namespace, weights: Path) -> ModelManifest:
    """State what is known before anything was measured."""
    return ModelManifest(
        name=NAME,
        version=options.version,
        weights=weights,
        sha256=sha256_of(weights),
        input=grey_square(options.size),
        outputs=OUTPUTS,
        labels={"presence": codes.CODE},
        operating_points=unmeasured(POINTS),
        default="balanced",
        urgent="high_specificity",
        calibration=UNFITTED,
        validation="none",
        mask_threshold=0.5,
        constancy=unread(PHANTOMS, MASK_TOLERANCE_MM2),
        training_sources=tuple(options.source) or SOURCES,
        licences=OTHERS_LICENCES if options.source else LICENCES,
    )


def _like(draft: ModelManifest, known: ModelManifest) -> ModelManifest:
    """Keep another model's calibration, points and mask level."""
    return replace(
        draft,
        calibration=known.calibration,
        mask_threshold=known.mask_threshold,
        operating_points=known.operating_points,
        validation=f"none; calibrated as version {known.version}, {known.sha256[:12]}",
    )


def _member(
    options: argparse.Namespace, number: int, lead: ModelManifest, cases: list[Case]
) -> Member:
    """Export and calibrate one more file of weights."""
    weights = _export(options, [options.member[number]], f"member-{number + 2}.onnx", cases)
    alone = replace(lead, weights=weights, sha256=sha256_of(weights))
    judged = _choose(cases, alone) if cases else alone
    return Member(weights, alone.sha256, (judged.calibration,))


def _choose(cases: list[Case], draft: ModelManifest) -> ModelManifest:
    """Choose calibration and thresholds on the validation split."""
    readings = read_all(PneumothoraxPipeline(draft, open_model(draft)), cases)
    truth, calibration = readings.truth, draft.calibration
    if not draft.members:  # the mean of calibrated probabilities is taken as it is
        slope, intercept = metrics.fit_platt(truth, readings.logits)
        calibration = Calibration(max(slope, LEAST_SLOPE), intercept)
    shares = calibration.probabilities(readings.logits)
    thresholds = (
        metrics.threshold_for_sensitivity(truth, shares, SENSITIVE),
        metrics.threshold_for_balance(truth, shares),
        metrics.threshold_for_specificity(truth, shares, SPECIFIC),
    )
    overlaps = {level: dice_of(readings, level)[0] for level in MASK_LEVELS}
    marks = {level: float(found.mean()) for level, found in overlaps.items() if len(found)}
    drawn = f", Dice {max(marks.values()):.3f}" if marks else "; no masks"
    return replace(
        draft,
        calibration=calibration,
        operating_points={
            name: measured_point(name, threshold, truth, shares)
            for name, threshold in zip(POINTS, thresholds, strict=True)
        },
        mask_threshold=max(marks, key=lambda level: marks[level], default=draft.mask_threshold),
        validation=(
            f"{len(truth)} images, {int(truth.sum())} positive, AUC "
            f"{metrics.auc(truth, readings.logits):.3f}{drawn}"
        ),
    )


def _reread(manifest: ModelManifest) -> ModelManifest:
    return PneumothoraxPipeline(manifest, open_model(manifest)).reread_all()


if __name__ == "__main__":
    import sys

    raise SystemExit(release(sys.argv[1:]))
