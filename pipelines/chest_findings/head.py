"""A head on the shared network: a reading task, and the labels that it speaks of."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from time import perf_counter

from dicom_node.domain.errors import BadSettings
from dicom_node.domain.findings import (
    OWN_POINT,
    Algorithm,
    Finding,
    Findings,
    OperatingPoint,
    PointChoice,
    Presence,
    Side,
)
from dicom_node.domain.pipeline import Check
from dicom_node.domain.study import Radiograph
from pipelines.anatomy.pipeline import AnatomyPipeline
from pipelines.chest_findings.codes import AP_VIEW, NO_ORIENTATION, OUTSIDE
from pipelines.chest_findings.reading import NetworkOutput, SharedModel
from pipelines.geometry import Geometry
from pipelines.serving.ensemble import digest_of
from pipelines.serving.labelled import Label
from pipelines.serving.task import Answer
from pipelines.thorax import find_thorax

GRID = 128
"""Cells across the square on which the rib cage is looked for."""
MIDLINE = 0.06
"""A box whose centre is nearer to the middle than this share has no side."""


@dataclass(frozen=True, slots=True)
class LabelAnswer:
    """What the network says of one label on one film, judged at a point."""

    label: Label
    probability: float
    point: OperatingPoint
    output: NetworkOutput
    geometry: Geometry
    radiograph: Radiograph
    map_fraction: float

    @property
    def presence(self) -> Presence:
        """Whether the probability reaches the point."""
        present = self.probability >= self.point.threshold
        return Presence.PRESENT if present else Presence.ABSENT


@dataclass(frozen=True, slots=True)
class Head:
    """A reading task on the shared network: the labels that it speaks of."""

    model: SharedModel
    name: str
    """The name used in routes."""
    labels: tuple[str, ...]
    find: Callable[[LabelAnswer], Finding]
    remarks: tuple[str, ...] = ()
    """Notes on every result."""
    remarks_if_present: tuple[str, ...] = ()
    anatomy: AnatomyPipeline | None = None
    """Outlines the lungs, against which the boxes' places are checked."""

    @property
    def version(self) -> str:
        """The model's version."""
        return self.model.version

    @property
    def device(self) -> str:
        """Where the network computes, in words."""
        return self.model.device

    def points_of(self, choice: PointChoice) -> dict[str, OperatingPoint]:
        """Give each finding's operating point; BadSettings for one that it lacks."""
        return {label.name: label.point(choice) for label in self._chosen()}

    def read(self, radiograph: Radiograph) -> Findings:
        """Read one radiograph; NotAnalysable for an image without content."""
        (findings,) = self.read_at(radiograph, (OWN_POINT,))
        return findings

    def read_at(
        self, radiograph: Radiograph, choices: tuple[PointChoice, ...]
    ) -> tuple[Findings, ...]:
        """Read once and judge at each operating point; raises as `read`."""
        answer = self.model.answer(radiograph)
        inferred = perf_counter()
        judged = [
            tuple(self._finding(label, choice, answer, radiograph) for label in self._chosen())
            for choice in choices
        ]
        manifest = self.model.manifest
        algorithm = Algorithm(self.name, manifest.version, digest_of(manifest))
        timings_ms = answer.timings_ms | {"postprocess": 1000 * (perf_counter() - inferred)}
        return tuple(
            Findings(
                algorithm,
                findings,
                notes=(
                    *self._notes(radiograph, findings),
                    *self._doubts(radiograph, answer, findings),
                ),
                timings_ms=timings_ms,
            )
            for findings in judged
        )

    def prefetch(self, radiographs: Sequence[Radiograph]) -> None:
        """Run the network on several films at once; `read` then has them."""
        self.model.prefetch(radiographs)

    def verify(self) -> tuple[Check, ...]:
        """Check the weights and that the phantoms are read as at release."""
        return self.model.verify()

    def _chosen(self) -> list[Label]:
        known = {label.name: label for label in self.model.manifest.labels}
        return [known[name] for name in self.labels]

    def _finding(
        self,
        label: Label,
        choice: PointChoice,
        answer: Answer[NetworkOutput],
        radiograph: Radiograph,
    ) -> Finding:
        output = answer.said
        calibration = label.calibration_of(radiograph.view_position)
        found = self.find(
            LabelAnswer(
                label=label,
                probability=calibration.probability(float(output.scores[label.column])),
                point=label.point(choice),
                output=output,
                geometry=answer.geometry,
                radiograph=radiograph,
                map_fraction=self.model.manifest.map_fraction,
            )
        )
        if output.spread is None:
            return found
        return replace(found, uncertainty=float(output.spread[label.column]))

    def _doubts(
        self, radiograph: Radiograph, answer: Answer[NetworkOutput], findings: tuple[Finding, ...]
    ) -> Iterator[str]:
        """Name the findings that have a box whose centre no rib cage holds."""
        boxed = [finding for finding in findings if finding.boxes]
        cage = find_thorax(self.anatomy if boxed else None, radiograph, GRID).cage()
        if cage is None:
            return
        stored = answer.geometry.to_stored(cage)
        rows, columns = (side / GRID for side in radiograph.pixels.shape)
        for finding in boxed:
            if not all(
                stored[int((box.y + box.height / 2) / rows), int((box.x + box.width / 2) / columns)]
                for box in finding.boxes
            ):
                yield OUTSIDE.format(finding.code.meaning.lower())

    def _notes(self, radiograph: Radiograph, findings: tuple[Finding, ...]) -> tuple[str, ...]:
        """Say what a reader of the result should know."""
        notes = list(radiograph.notes)
        if radiograph.view_position.upper() == "AP":
            notes.append(AP_VIEW)
        if any(finding.presence is Presence.PRESENT for finding in findings):
            notes += self.remarks_if_present
            if not knows_sides(radiograph):
                notes.append(NO_ORIENTATION)
        return tuple(dict.fromkeys((*notes, *self.remarks)))


def checked(head: Head) -> Head:
    """Check that the model has every label of the head; raises BadSettings."""
    manifest = head.model.manifest
    missing = set(head.labels) - {label.name for label in manifest.labels}
    if missing:
        raise BadSettings(f"{manifest.name}: model.toml lacks the labels {sorted(missing)}")
    return head


def side_of(centre: float, radiograph: Radiograph) -> Side:
    """Give the patient's side of a place, 0..1 across the standard image.

    The standard image's left is the patient's right; without PatientOrientation
    nobody knows.
    """
    if not knows_sides(radiograph) or abs(centre - 0.5) < MIDLINE:
        return Side.UNDETERMINED
    return Side.RIGHT if centre < 0.5 else Side.LEFT


def knows_sides(radiograph: Radiograph) -> bool:
    """Say whether left and right are known."""
    return radiograph.orientation is not None and radiograph.orientation.shows_sides
