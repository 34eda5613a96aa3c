"""Measure the shipped model: any finding against No Finding."""

from pipelines.abnormality import codes
from pipelines.abnormality.pipeline import NAME
from pipelines.binary import Figures
from pipelines.chest_findings.evaluation import groups
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
from pipelines.report import Report, finish, parse


def evaluate(arguments: list[str]) -> int:
    """Print the tables of the model on one split."""
    options = parse(NAME, arguments, __doc__)
    model, readings = read_split(NAME, options, lambda case: case.source != "child")
    manifest = model.manifest
    label = label_of(manifest, codes.LABEL)
    drawn = curves({"all images": told_of(label, readings)})
    wrong = misses({"a finding": label}, readings)
    told = (NAME, manifest.version, manifest.sha256, options.split)
    tables = report_on(manifest, readings, options.prevalence)
    finish(Report(*told, tables, drawn, wrong), options)
    return 0


def report_on(
    manifest: LabelledManifest, readings: Readings, prevalence: float
) -> dict[str, Figures]:
    """Give every figure of the task, in all and by group."""
    label = label_of(manifest, codes.LABEL)
    parts = {"all images": readings, **groups(readings)}
    return {words: of_label(label, part, prevalence) for words, part in parts.items()}
