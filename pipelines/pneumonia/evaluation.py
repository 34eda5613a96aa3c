"""Measure the shipped model: adults of the NIH, children of Kermany."""

import numpy as np

from pipelines import metrics
from pipelines.binary import LEAST_CASES, Figures, Told
from pipelines.chest_findings.codes import SCORES
from pipelines.chest_findings.readings import Readings
from pipelines.chest_findings.summary import (
    curves,
    label_of,
    misses,
    of_label,
    read_split,
    told_of,
)
from pipelines.labelled import LabelledManifest
from pipelines.pneumonia import codes
from pipelines.pneumonia.pipeline import NAME
from pipelines.report import Report, finish, parse

ADULT_AGE = 18


def evaluate(arguments: list[str]) -> int:
    """Print the tables of the model on one split."""
    options = parse(NAME, arguments, __doc__)
    model, readings = read_split(NAME, options, lambda _: True)
    manifest = model.manifest
    adult, child = label_of(manifest, codes.ADULT), label_of(manifest, codes.CHILD)
    full, children = readings.where("full"), readings.where("child")
    drawn = curves({"NIH 448 px": told_of(adult, full), "children": told_of(child, children)})
    wrong = misses({"pneumonia": adult}, full)
    groups = report_on(manifest, readings, options.prevalence)
    told = (NAME, manifest.version, manifest.sha256, options.split)
    finish(Report(*told, groups, drawn, wrong), options)
    return 0


def report_on(
    manifest: LabelledManifest, readings: Readings, prevalence: float
) -> dict[str, Figures]:
    """Give every figure of the task.

    Hardly any thumbnail has a pneumonia, so that sizes alone would tell: the
    figure that counts for adults is that of the 448 px images.
    """
    adult, child = label_of(manifest, codes.ADULT), label_of(manifest, codes.CHILD)
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
    report["children scored by the adults' head"] = _crossed(children)
    return report


def _crossed(children: Readings) -> Figures:
    """Say what happens when a child is routed to the adults' task."""
    truth, _ = children.of_label(codes.CHILD)
    if not LEAST_CASES <= truth.sum() <= len(truth) - LEAST_CASES:
        return {"too few": "cases"}
    scores = children.scores[:, SCORES.index(codes.ADULT)]
    return {
        "images": len(truth),
        "auc": Told(truth, scores, children.patients).estimate(metrics.auc),
    }
