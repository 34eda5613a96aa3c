"""What the reading tasks have in common: a network, asked once about a film."""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from dicom_node.domain.errors import BadSettings, NotAnalysable
from dicom_node.domain.pipeline import Check
from dicom_node.domain.study import InstanceRef, Orientation, Radiograph
from pipelines.geometry import Geometry, network_input, refuse_empty, square
from pipelines.phantom.chest import CONDITIONS, Phantom, chest_phantom
from pipelines.serving.ensemble import check_members
from pipelines.serving.manifest import Manifest, ModelManifest, PhantomReference
from pipelines.serving.session import Runner, sha256_of

M = TypeVar("M", bound=Manifest)
S = TypeVar("S")
Square = NDArray[np.float32]
"""A film in the network's square, standard orientation: (size, size), 0..1."""


@dataclass(frozen=True, slots=True)
class Answer(Generic[S]):
    """What a network said of one film, and where the film lies in its square."""

    said: S
    geometry: Geometry
    timings_ms: dict[str, float]
    """Empty where the film was read before."""


@dataclass(frozen=True, slots=True)
class Model(ABC, Generic[M, S]):
    """A manifest and its loaded network, which says an `S` of each film."""

    manifest: M
    session: Runner

    @abstractmethod
    def infer(self, images: Sequence[Square]) -> list[S]:
        """Ask the network about several films in one run."""

    @abstractmethod
    def check_phantoms(self) -> Iterator[Check]:
        """Compare today's reading of each phantom with that at release."""

    @property
    def version(self) -> str:
        """The model's version."""
        return self.manifest.version

    @property
    def device(self) -> str:
        """Where the network computes, in words."""
        return self.session.device

    def answer(self, film: Radiograph) -> Answer[S]:
        """Ask the network about a film, once; NotAnalysable for an image without content."""
        known: Answer[S] | None = film.answers.get(self.session)
        if known is not None:
            return replace(known, timings_ms={})
        started = perf_counter()
        image, geometry = self.square(film)
        prepared = perf_counter()
        (said,) = self.infer([image])
        timings_ms = {
            "preprocess": 1000 * (prepared - started),
            "inference": 1000 * (perf_counter() - prepared),
        }
        answer = Answer(said, geometry, timings_ms)
        film.answers[self.session] = answer
        return answer

    def prefetch(self, radiographs: Sequence[Radiograph]) -> None:
        """Run the network on several films at once; `answer` then has them."""
        films = []
        for film in radiographs:
            with contextlib.suppress(NotAnalysable):  # refused when it is read
                films.append((film, *self.square(film)))
        if films:
            said = self.infer([image for _, image, _ in films])
            for (film, _, geometry), output in zip(films, said, strict=True):
                film.answers[self.session] = Answer(output, geometry, {})

    def square(self, film: Radiograph) -> tuple[Square, Geometry]:
        """Bring a film into the network's square; NotAnalysable for one without content."""
        refuse_empty(film.pixels)
        return square(film.pixels, film.orientation, self.manifest.input.size)

    def batch(self, images: Sequence[Square], mirrors: bool = False) -> Square:
        """Give the network's input (N, 1, size, size); with `mirrors` each twice."""
        spec = self.manifest.input
        films = [network_input(image, spec.mean, spec.std) for image in images]
        if mirrors:
            films = [part for film in films for part in (film, film[..., ::-1])]
        return np.concatenate(films)

    def verify(self) -> tuple[Check, ...]:
        """Check the weights and that the phantoms are read as at release."""
        name, sha256 = self.manifest.name, self.manifest.sha256
        intact = sha256_of(self.manifest.weights) == sha256
        words = f"version {self.version}, SHA-256 {sha256[:12]}..., {self.device}"
        weights = Check(f"{name} weights", intact, words if intact else "SHA-256 differs")
        return (weights, *check_members(name, self.manifest), *self.check_phantoms())


class Task(Model[ModelManifest, S]):
    """A reading task with a network of its own."""

    __slots__ = ()
    SAYS: ClassVar[tuple[str, str]] = ("probability", "mask")
    """What it says of a phantom, in words: a probability, an area (or nothing)."""

    @property
    def name(self) -> str:
        """The name used in routes."""
        return self.manifest.name

    def check_phantoms(self) -> Iterator[Check]:
        """Compare today's reading of each phantom with that at release."""
        constancy, (sure, drawn) = self.manifest.constancy, self.SAYS
        for then in constancy.references:
            now = self.reread(then)
            ok = (
                abs(now.probability - then.probability) <= constancy.probability_tolerance
                and abs(now.mask_mm2 - then.mask_mm2) <= constancy.mask_tolerance_mm2
            )
            words = f"{sure} {now.probability:.3f} (reference {then.probability:.3f})"
            if drawn:
                words += f", {drawn} {now.mask_mm2:.0f} mm2 (reference {then.mask_mm2:.0f})"
            yield Check(f"{self.name} phantom {then.seed} {then.condition}", ok, words)

    @abstractmethod
    def reread(self, reference: PhantomReference) -> PhantomReference:
        """Read the phantom of a reference: what this model says of it now."""

    def reread_all(self) -> ModelManifest:
        """Give the manifest with what this model says of its phantoms now."""
        constancy = self.manifest.constancy
        references = tuple(map(self.reread, constancy.references))
        return replace(self.manifest, constancy=replace(constancy, references=references))

    def film(self, reference: PhantomReference) -> tuple[Phantom, Radiograph]:
        """Make the phantom of a reference; raises BadSettings for an unknown condition."""
        constancy = self.manifest.constancy
        return phantom_film(reference.seed, reference.condition, constancy.rows, constancy.columns)


def phantom_film(seed: int, condition: str, rows: int, columns: int) -> tuple[Phantom, Radiograph]:
    """Make a phantom as a radiograph; raises BadSettings for an unknown condition."""
    if condition not in CONDITIONS:
        raise BadSettings(f"model.toml: phantom condition {condition!r} is unknown")
    phantom = chest_phantom(seed, CONDITIONS[condition], rows=rows, columns=columns)
    film = Radiograph(phantom.display(), InstanceRef("", ""), orientation=Orientation("L", "F"))
    return phantom, film
