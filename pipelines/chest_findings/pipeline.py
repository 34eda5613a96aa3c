"""Read a chest radiograph for eight findings, with boxes."""

from dataclasses import replace
from pathlib import Path

from dicom_node.domain.findings import Box, Finding, Presence, Side
from dicom_node.domain.study import Radiograph
from pipelines.anatomy.pipeline import AnatomyPipeline
from pipelines.chest_findings.boxes import boxes_of
from pipelines.chest_findings.codes import BOXES_ARE_COARSE, MAPPED, REPORTED
from pipelines.chest_findings.head import Head, LabelAnswer, checked, side_of
from pipelines.chest_findings.reading import SharedModel, open_model
from pipelines.geometry import box_to_stored

USES = ("anatomy",)
"""Pipelines that `load` takes by name, where they are installed."""
NAME = "chest_findings"
MOST_BOXES = 2
KINDS = {finding.name: finding for finding in REPORTED}


def load(
    models_dir: Path,
    device: str = "auto",
    threads: int = 0,
    anatomy: AnatomyPipeline | None = None,
) -> Head:
    """Load the model of `models_dir`/chest_findings; BadSettings if unfit."""
    return replace(head_on(open_model(models_dir, NAME, device, threads)), anatomy=anatomy)


def head_on(model: SharedModel) -> Head:
    """Make the head on a loaded model; BadSettings if it lacks a label."""
    remarks = (BOXES_ARE_COARSE,)
    return checked(Head(model, NAME, MAPPED, _find, remarks_if_present=remarks))


def _find(answer: LabelAnswer) -> Finding:
    """Turn one output of the network into a finding; absent ones have no box."""
    kind = KINDS[answer.label.name]
    boxes: list[Box] = []
    if answer.presence is Presence.PRESENT:
        boxes = boxes_of(answer.output.map_of(kind.name), answer.map_fraction, MOST_BOXES)
    return Finding(
        code=kind.code,
        presence=answer.presence,
        probability=answer.probability,
        operating_point=answer.point,
        site=kind.site,
        side=_side(boxes, answer.radiograph) if kind.has_side else Side.UNDETERMINED,
        boxes=tuple(box_to_stored(box, answer.geometry) for box in boxes),
    )


def _side(boxes: list[Box], radiograph: Radiograph) -> Side:
    """Say on which side the boxes lie; opposite boxes make both."""
    sides = {side_of(box.x + box.width / 2, radiograph) for box in boxes}
    if len(sides) == 1:
        return sides.pop()
    return Side.BOTH if sides == {Side.RIGHT, Side.LEFT} else Side.UNDETERMINED
