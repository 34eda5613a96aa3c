"""Measure the heads' shipped models, through the serving code."""

import numpy as np

from pipelines.chest_findings.codes import SCORES
from pipelines.chest_findings.evaluation import groups
from pipelines.chest_findings.heads import abnormality, pneumonia
from pipelines.chest_findings.readings import Readings
from pipelines.chest_findings.summary import (
    as_radiologists_saw,
    curves,
    label_of,
    misses,
    of_label,
    read_split,
    scored_of,
)
from pipelines.measuring import metrics
from pipelines.measuring.binary import LEAST_CASES, Figures, Scored
from pipelines.measuring.report import Report, finish, parse
from pipelines.serving.labelled import Label, LabelledManifest

ADULT_AGE = 18


def evaluate_pneumonia(arguments: list[str]) -> int:
    """Print the tables of pneumonia on one split: adults of the NIH, children of Kermany."""
    options = parse(pneumonia.NAME, arguments, evaluate_pneumonia.__doc__)
    model, readings = read_split(pneumonia.NAME, options, lambda _: True)
    manifest = model.manifest
    adult, child = label_of(manifest, pneumonia.ADULT), label_of(manifest, pneumonia.CHILD)
    full, children = readings.where("full"), readings.where("child")
    drawn = curves({"NIH 448 px": scored_of(adult, full), "children": scored_of(child, children)})
    wrong = misses({"pneumonia": adult}, full)
    tables = pneumonia_figures(manifest, readings, options.prevalence)
    told = (pneumonia.NAME, manifest.version, manifest.sha256, options.split)
    finish(Report(*told, tables, drawn, wrong), options)
    return 0


def pneumonia_figures(
    manifest: LabelledManifest, readings: Readings, prevalence: float
) -> dict[str, Figures]:
    """Give every figure of pneumonia.

    Hardly any thumbnail has a pneumonia, so that sizes alone would tell: the
    figure that counts for adults is that of the 448 px images.
    """
    adult, child = label_of(manifest, pneumonia.ADULT), label_of(manifest, pneumonia.CHILD)
    full = readings.where("full")
    old = [case.age.isdigit() and int(case.age) >= ADULT_AGE for case in full.cases]
    children = readings.where("child")
    unseen = children.only(np.asarray([not case.seen for case in children.cases], np.bool_))
    report: dict[str, Figures] = {
        "adults, NIH 448 px": of_label(adult, full.only(np.asarray(old, np.bool_)), prevalence),
        "all ages, NIH 448 px": of_label(adult, full, prevalence),
        "all ages, NIH 448 px and 128 px": of_label(adult, readings, prevalence),
        "children, Kermany": of_label(child, children, prevalence),
        "children, Kermany, person not in train": of_label(child, unseen, prevalence),
    }
    for view in ("PA", "AP"):
        keep = np.asarray([case.view == view for case in full.cases], np.bool_)
        report[f"all ages, NIH 448 px, {view}"] = of_label(adult, full.only(keep), prevalence)
    report |= _by_radiologists(adult, readings, prevalence, "opacity, RSNA's radiologists")
    report["children scored by the adults' head"] = _crossed(children)
    return report


def _by_radiologists(
    label: Label, readings: Readings, prevalence: float, words: str
) -> dict[str, Figures]:
    """Judge one label by what radiologists saw, in all and by view; nothing if nobody read."""
    seen = as_radiologists_saw(readings).known(label.name)
    report = {}
    for view in ("", "PA", "AP"):
        keep = np.asarray([view in ("", case.view) for case in seen.cases], np.bool_)
        if keep.any():
            name = f"{words}, {view}" if view else words
            report[name] = of_label(label, seen.only(keep), prevalence)
    return report


def _crossed(children: Readings) -> Figures:
    """Say what happens when a child is routed to the adults' task."""
    truth, _ = children.of_label(pneumonia.CHILD)
    if not LEAST_CASES <= truth.sum() <= len(truth) - LEAST_CASES:
        return {"too few": "cases"}
    scores = children.scores[:, SCORES.index(pneumonia.ADULT)]
    return {
        "images": len(truth),
        "auc": Scored(truth, scores, children.patients).estimate(metrics.auc),
    }


def evaluate_abnormality(arguments: list[str]) -> int:
    """Print the tables of abnormality on one split: any finding against No Finding."""
    options = parse(abnormality.NAME, arguments, evaluate_abnormality.__doc__)
    model, readings = read_split(abnormality.NAME, options, lambda case: case.source != "child")
    manifest = model.manifest
    label = label_of(manifest, abnormality.LABEL)
    drawn = curves({"all images": scored_of(label, readings)})
    wrong = misses({"a finding": label}, readings)
    told = (abnormality.NAME, manifest.version, manifest.sha256, options.split)
    tables = abnormality_figures(manifest, readings, options.prevalence)
    finish(Report(*told, tables, drawn, wrong), options)
    return 0


def abnormality_figures(
    manifest: LabelledManifest, readings: Readings, prevalence: float
) -> dict[str, Figures]:
    """Give every figure of abnormality, in all and by group."""
    label = label_of(manifest, abnormality.LABEL)
    parts = {"all images": readings, **groups(readings)}
    report = {words: of_label(label, part, prevalence) for words, part in parts.items()}
    return report | _by_radiologists(label, readings, prevalence, "not normal, RSNA's radiologists")
