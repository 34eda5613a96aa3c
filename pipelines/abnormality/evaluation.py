"""Measure the shipped model: any finding against No Finding."""

from pipelines.abnormality import codes
from pipelines.abnormality.pipeline import NAME
from pipelines.chest_findings.evaluation import groups
from pipelines.chest_findings.readings import Readings
from pipelines.chest_findings.summary import (
    Report,
    label_of,
    of_label,
    options_of,
    read_split,
    tell,
)
from pipelines.labelled import LabelledManifest


def evaluate(arguments: list[str]) -> int:
    """Print the table of the model on one split."""
    options = options_of(NAME, arguments)
    model, readings = read_split(NAME, options, lambda case: case.source != "child")
    tell(model, options, report_on(model.manifest, readings))
    return 0


def report_on(manifest: LabelledManifest, readings: Readings) -> Report:
    """Give every figure of the task, in all and by group."""
    label = label_of(manifest, codes.LABEL)
    parts = {"all images": readings, **groups(readings)}
    return {words: of_label(label, part) for words, part in parts.items()}
