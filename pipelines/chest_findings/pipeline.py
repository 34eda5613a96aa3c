"""Read a chest radiograph for eight findings, with boxes."""

from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from dicom_node.domain.errors import BadSettings
from dicom_node.domain.findings import Box, Finding, Findings, Presence, Side
from dicom_node.domain.ports import Check
from dicom_node.domain.study import Radiograph
from pipelines.chest_findings.boxes import boxes_of
from pipelines.chest_findings.codes import BOXES_ARE_COARSE, MAPPED, REPORTED, Reported
from pipelines.chest_findings.preprocess import box_to_stored
from pipelines.chest_findings.reading import (
    Answer,
    SharedModel,
    notes_of,
    open_model,
    presence_of,
    side_of,
)
from pipelines.labelled import Label

NAME = "chest_findings"
MOST_BOXES = 2


@dataclass(frozen=True, slots=True)
class ChestFindingsPipeline:
    """The reading task with its loaded model."""

    model: SharedModel

    @property
    def name(self) -> str:
        """The name used in routes."""
        return self.model.manifest.name

    @property
    def version(self) -> str:
        """The model's version."""
        return self.model.manifest.version

    @property
    def device(self) -> str:
        """Where the network computes, in words."""
        return self.model.session.device

    def read(self, radiograph: Radiograph) -> Findings:
        """Read one radiograph; NotAnalysable for an image without content."""
        answer = self.model.answer(radiograph)
        inferred = perf_counter()
        labels = {label.name: label for label in self.model.manifest.labels}
        findings = tuple(
            _finding(self.model, labels[one.name], one, answer, radiograph) for one in REPORTED
        )
        took = {"postprocess": 1000 * (perf_counter() - inferred)}
        return Findings(
            algorithm=self.model.algorithm,
            findings=findings,
            notes=notes_of(radiograph, findings, BOXES_ARE_COARSE),
            timings_ms=answer.timings_ms | took,
        )

    def verify(self) -> tuple[Check, ...]:
        """Check the weights and that the phantoms are read as at release."""
        return self.model.verify()


def load(models_dir: Path, device: str = "auto", threads: int = 0) -> ChestFindingsPipeline:
    """Load the model of `models_dir`/chest_findings; BadSettings if unfit."""
    model = open_model(models_dir, NAME, device, threads)
    missing = set(MAPPED) - {label.name for label in model.manifest.labels}
    if missing:
        raise BadSettings(f"{models_dir / NAME}: model.toml lacks labels {sorted(missing)}")
    return ChestFindingsPipeline(model)


def _finding(
    model: SharedModel, label: Label, one: Reported, answer: Answer, radiograph: Radiograph
) -> Finding:
    """Turn one output of the network into a finding; absent ones have no box."""
    probability = label.calibration.probability(float(answer.scores[label.column]))
    presence = presence_of(label, probability)
    boxes: list[Box] = []
    if presence is Presence.PRESENT:
        fraction = model.manifest.map_fraction
        boxes = boxes_of(answer.map_of(one.name), fraction, MOST_BOXES)
    return Finding(
        code=one.code,
        presence=presence,
        probability=probability,
        operating_point=label.point,
        site=one.site,
        side=_side(boxes, radiograph) if one.has_side else Side.UNDETERMINED,
        boxes=tuple(box_to_stored(box, answer.geometry) for box in boxes),
    )


def _side(boxes: list[Box], radiograph: Radiograph) -> Side:
    """Say on which side the boxes lie; opposite boxes make both."""
    sides = {side_of(box.x + box.width / 2, radiograph) for box in boxes}
    if len(sides) == 1:
        return sides.pop()
    return Side.BOTH if sides == {Side.RIGHT, Side.LEFT} else Side.UNDETERMINED
