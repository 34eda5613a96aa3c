"""Make the three tasks' model folders of one checkpoint."""

# ruff: noqa: T201 -- a command prints its result

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from dicom_node.domain.findings import CodedConcept
from pipelines.chest_findings import codes
from pipelines.chest_findings.arrays import TrainingArrays, decode
from pipelines.chest_findings.cases import Case, read_cases
from pipelines.chest_findings.heads import abnormality, pneumonia
from pipelines.chest_findings.judging import MIXES, auc_marks, expert_marks, mixed_scores, run
from pipelines.chest_findings.network import ServedNet, TrunkNet
from pipelines.chest_findings.reading import SharedModel
from pipelines.chest_findings.readings import Readings, froc_recall, read_all
from pipelines.chest_findings.summary import best_known, calibrated
from pipelines.measuring import metrics
from pipelines.measuring.binary import measured_point
from pipelines.release.contract import OTHERS_LICENCES, UNFITTED, grey_square, unmeasured
from pipelines.release.export import (
    LEAST_SLOPE,
    Hooks,
    export,
    filled,
    finding_parser,
    make_folder,
)
from pipelines.serving.labelled import Label, LabelledManifest, ScoreReference, load_labelled
from pipelines.serving.manifest import WEIGHTS, Calibration
from pipelines.serving.session import open_session, sha256_of

SHARED = "chest_findings"
POINTS = ("high_sensitivity", "balanced", "high_specificity")
SENSITIVE, SPECIFIC = 0.9, 0.9
"""What `high_sensitivity` and `high_specificity` reach on validation."""
BALANCED = (pneumonia.CHILD, abnormality.LABEL)
"""Judged at `balanced`; eight findings judged there would mark most normal films."""
VIEWS, LEAST_BY_VIEW = ("PA", "AP"), 15
"""Views that are calibrated for themselves, and how many films of either kind that takes."""
FRACTIONS, MIDDLE = (0.3, 0.4, 0.5, 0.6, 0.7), 0.45
"""Where maps are cut; of cuts that do equally well the one nearest to the middle."""
PHANTOMS = ((1, "none"), (2, "right"), (3, "left"))
PHANTOM_SIDE, PHANTOM_TOLERANCE = 512, 0.03
"""Engines and devices round differently; a drifted model is off by far more."""
SOURCES = (
    "NIH ChestX-ray14, copies of 448 px and of 128 px, training split; text-mined labels",
    "NIH ChestX-ray14 expert boxes of eight findings on training images",
    "labels of training images: relabelled by CheXNeXt's networks; votes and adjudication of "
    "Google's radiologists; RSNA's readings and opacity boxes; SIIM-ACR's pneumothorax; "
    "probabilities of a CheXNet",
    "Kermany et al. paediatric pneumonia, copies of 320 px, training split",
)
LICENCES = (
    "NIH ChestX-ray14: NIH Clinical Center, free use with attribution (Wang et al., CVPR 2017)",
    "Kermany et al. (Cell 2018): CC BY 4.0",
    "relabels: Rajpurkar et al. 2018, from a GPL-3.0 package; Google's readings: research and "
    "education (Majkowska 2020, Nabulsi 2021); RSNA: challenge terms, research; SIIM-ACR: "
    "Kaggle competition rules, research; CheXNet's probabilities: BSD-3-Clause",
    "ImageNet weights derived from Google Coral, as the encoder's first start: Apache-2.0",
)
PNEUMOTHORAX_START = (
    "the encoder's start: the pneumothorax task's training (NIH, SIIM-ACR, phantoms)"
)
PNEUMOTHORAX_LICENCE = (
    "SIIM-ACR labels, in the encoder's start: Kaggle competition rules (research)"
)


@dataclass(frozen=True, slots=True)
class Task:
    """One model folder: the columns it speaks of, and their concepts."""

    name: str
    labels: Mapping[str, CodedConcept]


TASKS = (
    Task(SHARED, {finding.name: finding.code for finding in codes.REPORTED}),
    Task("pneumonia", {pneumonia.ADULT: pneumonia.CODE, pneumonia.CHILD: pneumonia.CODE}),
    Task("abnormality", {abnormality.LABEL: abnormality.CODE}),
)


def release(arguments: list[str]) -> int:
    """Write `model.onnx` once, and each task's `model.toml`."""
    options = _parse(arguments)
    everything = read_cases(options.data, options.format) if options.data else ()
    cases = [case for case in everything if case.split == "val"]
    network = filled(TrunkNet(), options.checkpoint)
    weights = options.out / SHARED / WEIGHTS
    mix = _mix(options, network, cases)
    served = ServedNet(network, dict.fromkeys(codes.MAPPED, mix), options.size)
    export(served, options.size, weights, ("scores", "maps"))
    drafts = [_draft(task, options, weights) for task in TASKS]
    choose = None
    if cases:
        choose = partial(_choose, read_all(SharedModel(drafts[0], open_session(drafts[0])), cases))
    for draft in drafts:
        path = WEIGHTS if draft.name == SHARED else f"../{SHARED}/{WEIGHTS}"
        make_folder(options.out / draft.name, draft, Hooks(_reread, choose), path)
    return 0


def _mix(options: argparse.Namespace, network: TrunkNet, cases: Sequence[Case]) -> float:
    """Choose how much the eight scores listen to their maps, or keep another model's choice."""
    if cases:
        exam = decode(cases, 0, options.size, options.store)
        scores, pooled, _ = run(network, exam)
        marks = {m: _mark(mixed_scores(scores, pooled, m), exam) for m in MIXES}
        mix = max(marks, key=lambda m: marks[m])
        print(f"AUC on validation by share of the map: {marks}; taken {mix}")
        return mix
    return mix_of(load_labelled(options.like / SHARED).weights) if options.like else 0.0


def _mark(scores: NDArray[np.float32], exam: TrainingArrays) -> float:
    """Mark scores by mean AUC against radiologists, and half as much against the reports."""
    read, eight = (
        expert_marks(scores, exam).get("read", 0.0),
        auc_marks(scores, exam).get("eight", 0.0),
    )
    return round(read + eight / 2, 4)


def _parse(arguments: list[str]) -> argparse.Namespace:
    options = finding_parser(__doc__, size=320)
    options.add_argument("--store", type=Path, help="where decoded validation images are kept")
    options.add_argument("--start", choices=["imagenet", "pneumothorax"], default="imagenet")
    return options.parse_args(arguments)


def mix_of(weights: Path) -> float:
    """Read from exported weights how much the scores listen to their maps."""
    held = {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in onnx.load(weights).graph.initializer
    }
    return float(held["spread"].max()) if "spread" in held else 0.0


def _like(manifest: LabelledManifest, known: LabelledManifest) -> LabelledManifest:
    """Keep another model's calibration, points and the maps' cut."""
    return replace(
        manifest,
        labels=known.labels,
        map_fraction=known.map_fraction,
        validation=f"none; calibrated as version {known.version}, {known.sha256[:12]}",
    )


def _draft(task: Task, options: argparse.Namespace, weights: Path) -> LabelledManifest:
    """State what is known before anything was measured."""
    warm = options.start == "pneumothorax"
    sources: tuple[str, ...] = SOURCES
    licences: tuple[str, ...] = LICENCES
    if warm:
        sources, licences = (*SOURCES, PNEUMOTHORAX_START), (*LICENCES, PNEUMOTHORAX_LICENCE)
    if options.source:
        sources, licences = tuple(options.source), OTHERS_LICENCES
    draft = LabelledManifest(
        name=task.name,
        version=options.version,
        weights=weights,
        sha256=sha256_of(weights),
        input=grey_square(options.size),
        outputs=("scores", "maps"),
        labels=tuple(
            Label(
                name,
                codes.SCORES.index(name),
                code,
                UNFITTED,
                unmeasured(POINTS),
                "balanced" if name in BALANCED else "high_specificity",
            )
            for name, code in task.labels.items()
        ),
        map_fraction=0.5,
        phantom_side=PHANTOM_SIDE,
        phantom_tolerance=PHANTOM_TOLERANCE,
        references=tuple(ScoreReference(*phantom, ()) for phantom in PHANTOMS),
        validation="none",
        training_sources=sources,
        licences=licences,
    )
    return _like(draft, load_labelled(options.like / task.name)) if options.like else draft


def _choose(readings: Readings, manifest: LabelledManifest) -> LabelledManifest:
    """Choose calibration, thresholds and the maps' cut on the validation split."""
    truth = best_known(readings)
    labels = tuple(_calibrated(label, truth) for label in manifest.labels)
    known = replace(manifest, labels=labels)
    told = {label.name: metrics.auc(*truth.of_label(label.name)) for label in known.labels}
    aucs = [f"{name} {value:.3f}" for name, value in told.items() if not np.isnan(value)]
    validation = f"{len(readings.cases)} images; AUC against the best truth there is " + ", ".join(
        aucs
    )
    if manifest.name != SHARED:
        return replace(known, validation=validation)
    recalls = {
        fraction: froc_recall(replace(known, map_fraction=fraction), readings, 1.0)
        for fraction in FRACTIONS
    }
    best = max(recalls, key=lambda fraction: (recalls[fraction], -abs(fraction - MIDDLE)))
    validation += f"; boxes met {recalls[best]:.3f} at one wrong box an image"
    return replace(known, map_fraction=best, validation=validation)


def _calibrated(label: Label, readings: Readings) -> Label:
    """Fit Platt's scaling, then choose the operating points on its probability."""
    known = readings.known(label.name)
    truth, logits = known.of_label(label.name)
    if truth.all() or not truth.any():
        return label  # this set says nothing of it
    slope, intercept = metrics.fit_platt(truth, logits)
    label = replace(label, calibration=Calibration(max(slope, LEAST_SLOPE), intercept))
    label = replace(label, view_intercepts=_by_view(label, known))
    shares = calibrated(label, logits, known)
    # Where a label is easy, the three aims may come out in another order: sorted, the
    # lowest still reaches its sensitivity and the highest its specificity.
    thresholds = sorted(
        [
            metrics.threshold_for_sensitivity(truth, shares, SENSITIVE),
            metrics.threshold_for_balance(truth, shares),
            metrics.threshold_for_specificity(truth, shares, SPECIFIC),
        ]
    )
    return replace(
        label,
        operating_points={
            name: measured_point(name, threshold, truth, shares)
            for name, threshold in zip(POINTS, thresholds, strict=True)
        },
    )


def _by_view(label: Label, readings: Readings) -> dict[str, float]:
    """Fit the intercept of each view that has films enough with and without the finding."""
    truth, logits = readings.of_label(label.name)
    found = {}
    for view in VIEWS:
        rows = np.asarray([case.view == view for case in readings.cases], np.bool_)
        seen = int(truth[rows].sum())
        if min(seen, int(rows.sum()) - seen) >= LEAST_BY_VIEW:
            exponents = label.calibration.slope * logits[rows] + label.calibration.intercept
            shift = metrics.fit_intercept(truth[rows], exponents)
            found[view] = label.calibration.intercept + shift
    return found


def _reread(manifest: LabelledManifest) -> LabelledManifest:
    model = SharedModel(manifest, open_session(manifest))
    read = [
        replace(reference, probabilities=model.read_phantom(reference.seed, reference.condition))
        for reference in manifest.references
    ]
    return replace(manifest, references=tuple(read))


if __name__ == "__main__":
    import sys

    raise SystemExit(release(sys.argv[1:]))
