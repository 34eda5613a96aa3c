"""Measure the model against radiologists, beside CheXNet on the same films."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from pipelines.chest_findings.codes import MAPPED, SCORES
from pipelines.chest_findings.readings import Readings
from pipelines.chest_findings.summary import as_radiologists_saw, mean_auc, of_label
from pipelines.datasets.truth import NODULE_OR_MASS
from pipelines.measuring import metrics
from pipelines.measuring.binary import Figures, Row, Scored, beside, figures, rounded
from pipelines.measuring.metrics import Numbers
from pipelines.serving.labelled import LabelledManifest

OPACITIES = ("Atelectasis", "Consolidation", "Edema", "Infiltration", "Pneumonia")
ADJUDICATED: Mapping[str, Sequence[str]] = {
    "Opacity": OPACITIES,
    "Pneumothorax": ("Pneumothorax",),
    NODULE_OR_MASS: ("Nodule", "Mass"),
}
"""Findings that radiologists agreed on, and the scores that speak of them."""
LEAST_TOGETHER = 2
"""Films with and without a finding that a mean over findings asks for."""


def against_radiologists(
    manifest: LabelledManifest, readings: Readings, prevalence: float
) -> dict[str, Figures]:
    """Give every figure that radiologists' readings allow."""
    seen = as_radiologists_saw(readings)
    if np.isnan(seen.labels).all():
        return {}
    report: dict[str, Figures] = {
        "mean over the eight findings, radiologists": {"mean AUC": mean_auc(seen)}
    }
    for label in manifest.labels:
        found = of_label(label, seen, prevalence)
        others = {*label.operating_points} - {label.default}
        report[f"{label.name}, radiologists"] = {
            name: figure for name, figure in found.items() if name not in others
        }
    report |= _adjudicated(seen)
    report |= _beside_chexnet(seen)
    return report


def _adjudicated(readings: Readings) -> dict[str, Figures]:
    """Judge what radiologists agreed on; the highest of some scores speaks for it."""
    report = {}
    for name, parts in ADJUDICATED.items():
        told = [case.reading.adjudicated if case.reading else {} for case in readings.cases]
        part = readings.only(np.asarray([name in agreed for agreed in told], np.bool_))
        truth = np.asarray([agreed[name] for agreed in told if name in agreed], np.bool_)
        columns = [SCORES.index(finding) for finding in parts]
        logits = part.scores[:, columns].max(axis=1, initial=-np.inf)
        words = name.replace("_", " ").lower()
        report[f"adjudicated: {words}"] = _ranked(Scored(truth, logits, part.patients))
    return report


def _ranked(told: Scored) -> Figures:
    """Give what needs no calibration."""
    found = figures(told, {})
    return {name: found[name] for name in ("images", "positive", "too few", "auc") if name in found}


def _beside_chexnet(readings: Readings) -> dict[str, Figures]:
    """Compare with CheXNet where it scored: each finding, and the mean of all."""
    report, pairs = {}, {}
    for name in MAPPED:
        theirs = np.asarray(
            [
                case.reading.teacher.get(name, np.nan) if case.reading else np.nan
                for case in readings.cases
            ]
        )
        truth = readings.labels[:, SCORES.index(name)]
        rows = ~np.isnan(theirs) & ~np.isnan(truth)
        pairs[name] = (
            np.where(rows, truth, np.nan),
            readings.scores[:, SCORES.index(name)],
            theirs,
        )
        owners = [patient for patient, kept in zip(readings.patients, rows, strict=True) if kept]
        told = Scored(truth[rows] > 0, pairs[name][1][rows], owners)
        found = beside(told, theirs[rows])
        if "too few" not in found:
            report[f"{name}, beside CheXNet"] = found
    enough = {
        name: pair
        for name, pair in pairs.items()
        if min((pair[0] == 1).sum(), (pair[0] == 0).sum()) >= LEAST_TOGETHER
    }
    if enough:
        report["mean of findings, beside CheXNet"] = _mean_beside(enough, readings.patients)
    return report


def _mean_beside(
    pairs: Mapping[str, tuple[Numbers, Numbers, Numbers]], patients: Sequence[str]
) -> Figures:
    """Compare two readers' mean AUC over findings; each pair is truth, ours, theirs."""

    def mean(which: int, rows: Row) -> float:
        values = []
        for pair in pairs.values():
            known = rows[~np.isnan(pair[0][rows])]
            values.append(metrics.auc(pair[0][known] > 0, pair[which][known]))
        return float(np.nanmean(values)) if not np.isnan(values).all() else float("nan")

    def estimate(measure: Callable[[Row], float]) -> dict[str, float]:
        return rounded(metrics.bootstrap(measure, patients))

    return {
        "findings": len(pairs),
        "this model": estimate(lambda rows: mean(1, rows)),
        "the other": estimate(lambda rows: mean(2, rows)),
        "difference (bootstrap)": estimate(lambda rows: mean(1, rows) - mean(2, rows)),
    }
