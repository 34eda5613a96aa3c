"""What the tasks on the shared network have in common: load, infer, verify."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

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
from dicom_node.domain.ports import Check
from dicom_node.domain.study import InstanceRef, Orientation, Radiograph
from pipelines.anatomy.pipeline import AnatomyPipeline
from pipelines.anatomy.thorax import find_thorax
from pipelines.chest_findings.codes import AP_VIEW, MAPPED, NO_ORIENTATION, OUTSIDE
from pipelines.chest_findings.preprocess import Geometry, network_input, refuse_empty, square
from pipelines.ensemble import SPREAD, Columns, check_members, digest_of, gather
from pipelines.labelled import Label, LabelledManifest, load_labelled
from pipelines.phantom import CONDITIONS, chest_phantom
from pipelines.session import (
    Runner,
    Session,
    SharedSession,
    open_session,
    readable,
    sha256_of,
    share_session,
)

Numbers = NDArray[np.float32]
OUTPUTS = {"scores", "maps"}
GRID = 128
"""Cells across the square on which the rib cage is looked for."""
MIDLINE = 0.06
"""A box whose centre is nearer to the middle than this share has no side."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The network's answer for one radiograph, and where its square lies.

    `timings_ms` is empty where another task had asked before.
    """

    scores: Numbers
    """Logits, one per column."""
    maps: Numbers
    """(mapped, h, w), 0..1."""
    spread: Numbers | None
    """Of an ensemble: how far its members' probabilities deviate, one per column."""
    geometry: Geometry
    timings_ms: dict[str, float]

    def map_of(self, name: str) -> Numbers:
        """Give the map of one of the eight findings."""
        place: Numbers = self.maps[MAPPED.index(name)]
        return place


@dataclass(frozen=True, slots=True)
class SharedModel:
    """A manifest and its network; each task has its own manifest."""

    manifest: LabelledManifest
    network: SharedSession

    @property
    def session(self) -> Runner:
        """The loaded network."""
        return self.network.session

    def answer(self, radiograph: Radiograph) -> Answer:
        """Run the network, once for one film; NotAnalysable for an image without content."""
        timings_ms: dict[str, float] = {}

        def ask() -> tuple[Told, Geometry]:
            started = perf_counter()
            image, geometry = self._square(radiograph)
            prepared = perf_counter()
            told = infer(self.session, self.manifest, image)
            timings_ms["preprocess"] = 1000 * (prepared - started)
            timings_ms["inference"] = 1000 * (perf_counter() - prepared)
            return told, geometry

        told, geometry = self.network.once(radiograph, ask)
        return Answer(*told, geometry, timings_ms)

    def prefetch(self, radiographs: Sequence[Radiograph]) -> None:
        """Run the network on several films at once; `answer` then has them."""
        films, squares = readable(radiographs, self._square)
        if films:
            told = infer_all(self.session, self.manifest, [image for image, _ in squares])
            answers = [(one, geometry) for one, (_, geometry) in zip(told, squares, strict=True)]
            self.network.remember(films, answers)

    def _square(self, radiograph: Radiograph) -> tuple[Numbers, Geometry]:
        refuse_empty(radiograph.pixels)
        return square(radiograph.pixels, radiograph.orientation, self.manifest.input.size)

    def verify(self) -> tuple[Check, ...]:
        """Check the weights and that the phantoms are read as at release."""
        manifest = self.manifest
        intact = sha256_of(manifest.weights) == manifest.sha256
        words = f"version {manifest.version}, SHA-256 {manifest.sha256[:12]}..., "
        words += self.session.device
        checks = [Check(f"{manifest.name} weights", intact, words if intact else "SHA-256 differs")]
        checks += check_members(manifest.name, manifest)
        for reference in manifest.references:
            found = read_phantom(self, reference.seed, reference.condition)
            gaps = [abs(a - b) for a, b in zip(found, reference.probabilities, strict=True)]
            told = f"largest difference of probability {max(gaps):.4f}"
            name = f"{manifest.name} phantom {reference.seed} {reference.condition}"
            checks.append(Check(name, max(gaps) <= manifest.phantom_tolerance, told))
        return tuple(checks)


def open_model(models_dir: Path, name: str, device: str, threads: int) -> SharedModel:
    """Load the model of `models_dir`/`name`; BadSettings if unfit."""
    manifest = load_labelled(models_dir / name)
    if manifest.name != name or OUTPUTS - set(manifest.outputs):
        raise BadSettings(
            f"{models_dir / name}: is a model {manifest.name!r} with outputs "
            f"{list(manifest.outputs)}; {name} needs 'scores' and 'maps'"
        )
    gathered = partial(_gathered, manifest, device, threads) if manifest.members else None
    return SharedModel(manifest, share_session(manifest, device, threads, gathered))


def _gathered(manifest: LabelledManifest, device: str, threads: int, lead: Session) -> Runner:
    """Open the members of an ensemble; raises BadSettings."""
    columns = Columns(
        "scores",
        tuple(label.column for label in manifest.labels),
        tuple(label.calibration for label in manifest.labels),
    )
    others = [
        (
            open_session(
                replace(manifest, weights=one.weights, sha256=one.sha256), device, threads
            ),
            one,
        )
        for one in manifest.members
    ]
    return gather(lead, manifest, columns, others)


@dataclass(frozen=True, slots=True)
class Said:
    """What the network says of one label on one film, judged at a point."""

    label: Label
    probability: float
    point: OperatingPoint
    answer: Answer
    radiograph: Radiograph
    map_fraction: float

    @property
    def presence(self) -> Presence:
        """Whether the probability reaches the point."""
        present = self.probability >= self.point.threshold
        return Presence.PRESENT if present else Presence.ABSENT


@dataclass(frozen=True, slots=True)
class LabelledPipeline:
    """A reading task on the shared network: the labels that it speaks of."""

    model: SharedModel
    name: str
    """The name used in routes."""
    labels: tuple[str, ...]
    find: Callable[[Said], Finding]
    remarks: tuple[str, ...] = ()
    """Notes on every result."""
    remarks_if_present: tuple[str, ...] = ()
    anatomy: AnatomyPipeline | None = None
    """Outlines the lungs, against which the boxes' places are checked."""

    @property
    def version(self) -> str:
        """The model's version."""
        return self.model.manifest.version

    @property
    def device(self) -> str:
        """Where the network computes, in words."""
        return self.model.session.device

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
                one,
                notes=(*self._notes(radiograph, one), *self._doubts(radiograph, answer, one)),
                timings_ms=timings_ms,
            )
            for one in judged
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
        self, label: Label, choice: PointChoice, answer: Answer, radiograph: Radiograph
    ) -> Finding:
        probability = label.calibration.probability(float(answer.scores[label.column]))
        fraction = self.model.manifest.map_fraction
        point = label.point(choice)
        found = self.find(Said(label, probability, point, answer, radiograph, fraction))
        if answer.spread is None:
            return found
        return replace(found, uncertainty=float(answer.spread[label.column]))

    def _doubts(
        self, radiograph: Radiograph, answer: Answer, findings: tuple[Finding, ...]
    ) -> Iterator[str]:
        """Name the findings that have a box whose centre no rib cage holds."""
        boxed = [one for one in findings if one.boxes]
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
        if any(one.presence is Presence.PRESENT for one in findings):
            notes += self.remarks_if_present
            if not knows_sides(radiograph):
                notes.append(NO_ORIENTATION)
        return tuple(dict.fromkeys((*notes, *self.remarks)))


def open_task(pipeline: LabelledPipeline) -> LabelledPipeline:
    """Check that the model has every label of the task; raises BadSettings."""
    manifest = pipeline.model.manifest
    missing = set(pipeline.labels) - {label.name for label in manifest.labels}
    if missing:
        raise BadSettings(f"{manifest.name}: model.toml lacks the labels {sorted(missing)}")
    return pipeline


class Told(NamedTuple):
    """What the network says of a square: as in `Answer`."""

    scores: Numbers
    maps: Numbers
    spread: Numbers | None


def infer(session: Runner, manifest: LabelledManifest, image: Numbers) -> Told:
    """Give what a network says of a square: the mean of the film and its mirror image."""
    (told,) = infer_all(session, manifest, [image])
    return told


def infer_all(session: Runner, manifest: LabelledManifest, images: Sequence[Numbers]) -> list[Told]:
    """Give what a network says of several squares, in one run."""
    films = [network_input(one, manifest.input.mean, manifest.input.std) for one in images]
    answers = session.run(np.concatenate([part for one in films for part in (one, one[..., ::-1])]))
    found = []
    for row in range(0, 2 * len(films), 2):
        maps, mirrored = answers["maps"][row : row + 2]
        both = slice(row, row + 2)
        spread = answers[SPREAD][both].mean(axis=0) if SPREAD in answers else None
        mean = np.asarray((maps + mirrored[..., ::-1]) / 2, np.float32)
        found.append(Told(answers["scores"][both].mean(axis=0), mean, spread))
    return found


def read_phantom(model: SharedModel, seed: int, condition: str) -> tuple[float, ...]:
    """Read one phantom: the calibrated probability of every label."""
    if condition not in CONDITIONS:
        raise BadSettings(f"model.toml: phantom condition {condition!r} is unknown")
    side = model.manifest.phantom_side
    phantom = chest_phantom(seed, CONDITIONS[condition], rows=side, columns=side)
    film = Radiograph(phantom.display(), InstanceRef("", ""), orientation=Orientation("L", "F"))
    scores = model.answer(film).scores
    return tuple(
        label.calibration.probability(float(scores[label.column]))
        for label in model.manifest.labels
    )


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
