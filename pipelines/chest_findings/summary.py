"""What the evaluations of the tasks on the shared network have in common."""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from dicom_node.domain.errors import BadSettings
from pipelines.chest_findings.cases import Case, read_cases, read_labels
from pipelines.chest_findings.codes import MAPPED, SCORES
from pipelines.chest_findings.reading import SharedModel, open_model
from pipelines.chest_findings.readings import Readings, read_all
from pipelines.measuring import metrics
from pipelines.measuring.binary import LEAST_CASES, Figures, Row, Scored, figures, rounded
from pipelines.measuring.curves import Chart, calibration_chart, precision_chart, roc_chart
from pipelines.measuring.metrics import Numbers
from pipelines.measuring.report import MISSES, Miss
from pipelines.serving.labelled import Label, LabelledManifest

LEAST_ALONE = 15
"""Films with and without a finding from which radiologists' readings calibrate alone."""


def read_split(
    task: str, options: argparse.Namespace, wanted: Callable[[Case], bool]
) -> tuple[SharedModel, Readings]:
    """Let the task's model read the wanted cases of the split; BadSettings if none."""
    model = open_model(options.models, task, options.device, 0)
    cases = [c for c in read_cases(options.data) if c.split == options.split and wanted(c)]
    if not cases:
        raise BadSettings(f"--data {options.data}: no case for {task} in split {options.split!r}")
    return model, read_all(model, cases)


def label_of(manifest: LabelledManifest, name: str) -> Label:
    """Give one label of a manifest."""
    (label,) = (label for label in manifest.labels if label.name == name)
    return label


def scored_of(label: Label, readings: Readings) -> Scored:
    """Give the calibrated probabilities of one label where the truth is known."""
    known = readings.known(label.name)
    truth, logits = known.of_label(label.name)
    return Scored(truth, calibrated(label, logits, known), known.patients)


def calibrated(label: Label, logits: Numbers, readings: Readings) -> Numbers:
    """Give the probabilities of one label's logits, each by its film's view."""
    calibrations = [label.calibration_of(case.view) for case in readings.cases]
    pairs = zip(calibrations, logits, strict=True)
    return np.asarray(
        [calibration.probability(float(logit)) for calibration, logit in pairs], np.float64
    )


def of_label(label: Label, readings: Readings, prevalence: float) -> Figures:
    """Give every figure of one label on some readings."""
    return figures(scored_of(label, readings), label.operating_points, prevalence)


def mean_auc(readings: Readings) -> dict[str, float] | str:
    """Give the mean AUC over the findings that are common enough, with its interval."""
    enough = [SCORES.index(name) for name in MAPPED if min(_both(readings, name)) >= LEAST_CASES]
    if not enough:
        return "too few cases"

    def measure(rows: Row) -> float:
        values = []
        for column in enough:
            labels, scores = readings.labels[rows, column], readings.scores[rows, column]
            known = ~np.isnan(labels)
            values.append(metrics.auc(labels[known] > 0, scores[known]))
        return float(np.mean(values))

    found = rounded(metrics.bootstrap(measure, readings.patients))
    return found | {"findings": len(enough)}


def _both(readings: Readings, name: str) -> tuple[int, int]:
    """Count the images with and without a finding."""
    truth, _ = readings.of_label(name)
    return int(truth.sum()), int((~truth).sum())


def as_radiologists_saw(readings: Readings) -> Readings:
    """Take radiologists' readings for truth: votes of at least half, RSNA, adjudication."""
    labels = np.asarray([read_labels(case) for case in readings.cases], np.float64)
    return replace(readings, labels=labels.reshape(readings.labels.shape))


def best_known(readings: Readings) -> Readings:
    """Take the best truth there is, score by score.

    Radiologists' where they saw the finding often enough to speak alone; else
    theirs where they read the film, and the report's where they did not.
    """
    seen = as_radiologists_saw(readings).labels
    often = np.minimum((seen == 1).sum(axis=0), (seen == 0).sum(axis=0)) >= LEAST_ALONE
    return replace(readings, labels=np.where(np.isnan(seen) & ~often, readings.labels, seen))


def curves(named: Mapping[str, Scored]) -> tuple[Chart, ...]:
    """Draw the three curves of some labels."""
    return roc_chart(named), precision_chart(named), calibration_chart(named)


def misses(labels: Mapping[str, Label], readings: Readings) -> list[Miss]:
    """Give the images whose probability is farthest from the truth, of any label."""
    found = []
    for words, label in labels.items():
        known = readings.known(label.name)
        told = scored_of(label, readings)
        for case, truth, share in zip(known.cases, told.truth, told.probabilities, strict=True):
            said = f"{words} {'in' if truth else 'not in'} the report, p={share:.3f}"
            found.append((abs(float(truth) - float(share)), case, said))
    found.sort(key=lambda miss: -miss[0])
    return [Miss(case.image.name, said, case.image) for _, case, said in found[:MISSES]]
