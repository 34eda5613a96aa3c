"""What the tasks on the shared network have in common: load, infer, verify."""

from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from dicom_node.domain.errors import BadSettings
from dicom_node.domain.findings import Algorithm, Finding, Presence, Side
from dicom_node.domain.ports import Check
from dicom_node.domain.study import InstanceRef, Orientation, Radiograph
from pipelines.chest_findings.codes import AP_VIEW, MAPPED, NO_ORIENTATION
from pipelines.chest_findings.preprocess import Geometry, network_input, refuse_empty, square
from pipelines.labelled import Label, LabelledManifest, load_labelled
from pipelines.phantom import CONDITIONS, chest_phantom
from pipelines.session import Session, open_session, sha256_of

Numbers = NDArray[np.float32]
OUTPUTS = {"scores", "maps"}
MIDLINE = 0.06
"""A box whose centre is nearer to the middle than this share has no side."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The network's answer for one radiograph, and where its square lies."""

    scores: Numbers
    """Logits, one per column."""
    maps: Numbers
    """(mapped, h, w), 0..1."""
    geometry: Geometry
    timings_ms: dict[str, float]

    def map_of(self, name: str) -> Numbers:
        """Give the map of one of the eight findings."""
        place: Numbers = self.maps[MAPPED.index(name)]
        return place


@dataclass(frozen=True, slots=True)
class SharedModel:
    """A manifest and its session; each task has its own manifest."""

    manifest: LabelledManifest
    session: Session

    @property
    def algorithm(self) -> Algorithm:
        """Who makes the results."""
        return Algorithm(self.manifest.name, self.manifest.version, self.manifest.sha256)

    def answer(self, radiograph: Radiograph) -> Answer:
        """Run the network; NotAnalysable for an image without content."""
        refuse_empty(radiograph.pixels)
        started = perf_counter()
        image, geometry = square(
            radiograph.pixels, radiograph.orientation, self.manifest.input.size
        )
        prepared = perf_counter()
        scores, maps = infer(self.session, self.manifest, image)
        timings_ms = {
            "preprocess": 1000 * (prepared - started),
            "inference": 1000 * (perf_counter() - prepared),
        }
        return Answer(scores, maps, geometry, timings_ms)

    def verify(self) -> tuple[Check, ...]:
        """Check the weights and that the phantoms are read as at release."""
        manifest = self.manifest
        intact = sha256_of(manifest.weights) == manifest.sha256
        words = f"version {manifest.version}, SHA-256 {manifest.sha256[:12]}..., "
        words += self.session.device
        checks = [Check(f"{manifest.name} weights", intact, words if intact else "SHA-256 differs")]
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
    return SharedModel(manifest, open_session(manifest, device, threads))


def infer(session: Session, manifest: LabelledManifest, image: Numbers) -> tuple[Numbers, Numbers]:
    """Give score logits and maps of a square: the mean of the film and its mirror image."""
    film = network_input(image, manifest.input.mean, manifest.input.std)
    answers = session.run(np.concatenate([film, film[..., ::-1]]))
    maps, mirrored = answers["maps"]
    scores: Numbers = answers["scores"].mean(axis=0)
    return scores, np.asarray((maps + mirrored[..., ::-1]) / 2, np.float32)


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


def presence_of(label: Label, probability: float) -> Presence:
    """Decide at the label's operating point."""
    return Presence.PRESENT if probability >= label.point.threshold else Presence.ABSENT


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


def notes_of(radiograph: Radiograph, findings: tuple[Finding, ...], *more: str) -> tuple[str, ...]:
    """Say what a reader of the result should know."""
    notes = list(radiograph.notes)
    if radiograph.view_position.upper() == "AP":
        notes.append(AP_VIEW)
    if any(one.presence is Presence.PRESENT for one in findings):
        notes += more
        if not knows_sides(radiograph):
            notes.append(NO_ORIENTATION)
    return tuple(dict.fromkeys(notes))
