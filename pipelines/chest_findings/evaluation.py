"""Measure the shipped model: scores against reports and radiologists, and boxes."""

from functools import partial

import numpy as np

from pipelines.chest_findings.cases import from_record
from pipelines.chest_findings.codes import MAPPED
from pipelines.chest_findings.pipeline import NAME
from pipelines.chest_findings.radiologists import against_radiologists
from pipelines.chest_findings.readings import (
    IOU,
    Marked,
    Readings,
    marked,
    place_hits,
    read_all,
    recall_at,
)
from pipelines.chest_findings.summary import (
    best_known,
    calibrated,
    curves,
    mean_auc,
    misses,
    of_label,
    read_split,
    scored_of,
)
from pipelines.datasets.hannover import read_elsewhere
from pipelines.measuring import metrics
from pipelines.measuring.binary import LEAST_CASES, Figures, Scored, mean_of, parts_of, rounded
from pipelines.measuring.curves import Chart, Line
from pipelines.measuring.report import Report, finish, parse
from pipelines.serving.labelled import Label, LabelledManifest

WRONG_PER_IMAGE = (0.25, 0.5, 1.0, 2.0, 4.0)
BY_VIEW = ("PA", "AP")
DRAWN_TO = 8.0
"""Wrong boxes an image up to which the FROC curve is drawn."""


def evaluate(arguments: list[str]) -> int:
    """Print the tables of the model on one split of adults and NIH children."""
    options = parse(NAME, arguments, __doc__)
    model, readings = read_split(NAME, options, lambda case: case.source != "child")
    manifest = model.manifest
    groups = report_on(manifest, readings, options.prevalence)
    away = [from_record(record) for record in read_elsewhere(options.data)]
    if away:
        groups |= shifts(manifest, readings, read_all(model, away))
    labels = {label.name: label for label in manifest.labels}
    named = {name: scored_of(label, readings) for name, label in labels.items()}
    drawn = (*curves(named), _froc(marked(manifest, readings)))
    wrong = misses(labels, readings)
    told = (NAME, manifest.version, manifest.sha256, options.split)
    finish(Report(*told, groups, drawn, wrong), options)
    return 0


def report_on(
    manifest: LabelledManifest, readings: Readings, prevalence: float
) -> dict[str, Figures]:
    """Give every figure of the task."""
    report: dict[str, Figures] = {"mean over the eight findings": _means(manifest, readings)}
    for label in manifest.labels:
        report[f"{label.name}, all images"] = of_label(label, readings, prevalence)
    for source, words in (("full", "448 px images"), ("small", "128 px thumbnails")):
        part = readings.where(source)
        report[words] = {name: _auc(part, name) for name in MAPPED}
    report |= against_radiologists(manifest, readings, prevalence)
    return report | {"boxes": _boxes(manifest, readings)}


def _means(manifest: LabelledManifest, readings: Readings) -> Figures:
    """Give mean AUC of all images and of groups, and the calibration errors."""
    found: Figures = {"mean AUC": mean_auc(readings)}
    for words, part in groups(readings).items():
        found[f"mean AUC, {words}"] = mean_auc(part)
    for words, part in groups(readings).items():
        if words in BY_VIEW:
            found |= _errors(manifest, part, f", {words}")
    found |= _errors(manifest, readings, "")
    return found


def _errors(manifest: LabelledManifest, readings: Readings, words: str) -> Figures:
    """Give mean and largest calibration error against the best truth there is."""
    best = best_known(readings)
    told = [scored_of(label, best) for label in manifest.labels]
    errors = [metrics.calibration_error(reader.truth, reader.probabilities) for reader in told]
    return {
        f"mean ECE{words}": round(float(np.mean(errors)), 4),
        f"largest ECE{words}": round(max(errors), 4),
    }


def groups(readings: Readings) -> dict[str, Readings]:
    """Split readings by size, view, sex and age."""
    sizes = {"448 px": readings.where("full"), "128 px": readings.where("small")}
    parts = parts_of(readings.cases)
    return sizes | {words: readings.only(keep) for words, keep in parts.items()}


def _auc(readings: Readings, name: str) -> dict[str, float] | str:
    truth, logits = readings.of_label(name)
    if not LEAST_CASES <= truth.sum() <= len(truth) - LEAST_CASES:
        return f"{int(truth.sum())} positive: too few"
    return Scored(truth, logits, readings.known(name).patients).estimate(metrics.auc)


def shifts(manifest: LabelledManifest, readings: Readings, away: Readings) -> dict[str, Figures]:
    """Say how often each finding is called here and in another hospital, by view.

    Nobody has labelled those films for it: the figures show a shift, not an error.
    """
    report: dict[str, Figures] = {}
    for view in BY_VIEW:
        for words, part in (("this data set", readings), ("another hospital", away)):
            films = part.only(np.asarray([case.view == view for case in part.cases], np.bool_))
            if films.cases:
                report[f"called present, {words}, {view}"] = {
                    "images": len(films.cases),
                    **{label.name: _called(label, films) for label in manifest.labels},
                }
    return report


def _called(label: Label, readings: Readings) -> float:
    """Give the share of films on which the default operating point calls a finding."""
    shares = calibrated(label, readings.scores[:, label.column], readings)
    return round(float((shares >= label.point().threshold).mean()), 3)


def _boxes(manifest: LabelledManifest, readings: Readings) -> dict[str, object]:
    """Give FROC over all findings, and places where the finding is given."""
    found = marked(manifest, readings)
    told: dict[str, object] = {
        "images with boxes": len(found.patients),
        "expert boxes": len(found.expert_images),
    }
    if not found.patients:
        return told
    for wrong in WRONG_PER_IMAGE:
        measure = partial(recall_at, found, wrong_per_image=wrong)
        told[f"met, {wrong:g} wrong an image"] = rounded(
            metrics.bootstrap(measure, list(found.patients))
        )
    peaks, boxes, owners = place_hits(manifest, readings)
    for words, hits in (("peak inside", peaks), (f"box met at IoU {IOU:g}", boxes)):
        told[f"{words}, finding given"] = mean_of(hits, owners)
    return told


def _froc(found: Marked) -> Chart:
    """Draw the share of expert boxes met over wrong boxes an image."""
    rows = np.arange(len(found.patients))
    levels = [DRAWN_TO * step / 80 for step in range(1, 81)] if len(rows) else []
    points = [(wrong, recall_at(found, rows, wrong)) for wrong in levels]
    lines = (Line(f"all findings, IoU {IOU:g}", points),)
    return Chart("FROC", "wrong boxes an image", "expert boxes met", lines, DRAWN_TO)
