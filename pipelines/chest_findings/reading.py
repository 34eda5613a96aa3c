"""What the tasks on the shared network have in common: load, infer, verify."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dicom_node.domain.errors import BadSettings
from dicom_node.domain.pipeline import Check
from dicom_node.domain.study import Radiograph
from pipelines.chest_findings.codes import MAPPED
from pipelines.geometry import Geometry, network_input, refuse_empty, square
from pipelines.serving.ensemble import SPREAD, Columns, check_members, open_ensemble
from pipelines.serving.labelled import LabelledManifest, load_labelled
from pipelines.serving.session import (
    Runner,
    SharedSession,
    readable,
    sha256_of,
    share_session,
)
from pipelines.serving.task import phantom_film

Numbers = NDArray[np.float32]
OUTPUTS = {"scores", "maps"}


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
    if not manifest.members:
        return SharedModel(manifest, share_session(manifest, device, threads))
    columns = Columns(
        "scores",
        tuple(label.column for label in manifest.labels),
        tuple(label.calibration for label in manifest.labels),
    )
    return SharedModel(manifest, SharedSession(open_ensemble(manifest, columns, device, threads)))


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
    side = model.manifest.phantom_side
    _, film = phantom_film(seed, condition, side, side)
    scores = model.answer(film).scores
    return tuple(
        label.calibration.probability(float(scores[label.column]))
        for label in model.manifest.labels
    )
