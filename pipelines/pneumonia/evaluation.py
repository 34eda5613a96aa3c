"""Measure the shipped model: adults of the NIH, children of Kermany."""

import numpy as np

from pipelines.chest_findings.codes import SCORES
from pipelines.chest_findings.readings import Readings
from pipelines.chest_findings.summary import (
    LEAST_CASES,
    Report,
    auc_estimate,
    label_of,
    of_label,
    options_of,
    read_split,
    tell,
)
from pipelines.labelled import LabelledManifest
from pipelines.pneumonia import codes
from pipelines.pneumonia.pipeline import NAME

ADULT_AGE = 18


def evaluate(arguments: list[str]) -> int:
    """Print the table of the model on one split."""
    options = options_of(NAME, arguments)
    model, readings = read_split(NAME, options, lambda _: True)
    tell(model, options, report_on(model.manifest, readings))
    return 0


def report_on(manifest: LabelledManifest, readings: Readings) -> Report:
    """Give every figure of the task.

    Hardly any thumbnail has a pneumonia, so that sizes alone would tell: the
    figure that counts for adults is that of the 448 px images.
    """
    adult, child = label_of(manifest, codes.ADULT), label_of(manifest, codes.CHILD)
    full = readings.where("full")
    old = [case.age.isdigit() and int(case.age) >= ADULT_AGE for case in full.cases]
    children = readings.where("child")
    unseen = children.only(np.asarray([not case.seen for case in children.cases], np.bool_))
    report: dict[str, dict[str, object]] = {
        "adults, NIH 448 px": of_label(adult, full.only(np.asarray(old, np.bool_))),
        "all ages, NIH 448 px": of_label(adult, full),
        "all ages, NIH 448 px and 128 px": of_label(adult, readings),
        "children, Kermany": of_label(child, children),
        "children, Kermany, person not in train": of_label(child, unseen),
    }
    for view in ("PA", "AP"):
        keep = np.asarray([case.view == view for case in full.cases], np.bool_)
        report[f"all ages, NIH 448 px, {view}"] = of_label(adult, full.only(keep))
    report["children scored by the adults' head"] = _crossed(children)
    return report


def _crossed(children: Readings) -> dict[str, object]:
    """Say what happens when a child is routed to the adults' task."""
    truth, _ = children.of_label(codes.CHILD)
    if not LEAST_CASES <= truth.sum() <= len(truth) - LEAST_CASES:
        return {"too few": "cases"}
    scores = children.scores[:, SCORES.index(codes.ADULT)]
    return {"images": len(truth), "auc": auc_estimate(truth, scores, children.patients)}
