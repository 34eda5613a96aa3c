"""The network that several heads share: load, infer, verify."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dicom_node.domain.errors import BadSettings
from dicom_node.domain.pipeline import Check
from pipelines.chest_findings.codes import MAPPED
from pipelines.serving.ensemble import SPREAD, Columns, open_ensemble
from pipelines.serving.labelled import LabelledManifest, load_labelled
from pipelines.serving.session import share_session
from pipelines.serving.task import Model, Square, phantom_film

Numbers = NDArray[np.float32]
OUTPUTS = {"scores", "maps"}


class NetworkOutput(NamedTuple):
    """What the network says of a square."""

    scores: Numbers
    """Logits, one per column."""
    maps: Numbers
    """(mapped, h, w), 0..1."""
    spread: Numbers | None
    """Of an ensemble: how far its members' probabilities deviate, one per column."""

    def map_of(self, name: str) -> Numbers:
        """Give the map of one of the eight findings."""
        place: Numbers = self.maps[MAPPED.index(name)]
        return place


@dataclass(frozen=True, slots=True)
class SharedModel(Model[LabelledManifest, NetworkOutput]):
    """The network of the findings, with the manifest of one model folder on it."""

    def infer(self, images: Sequence[Square]) -> list[NetworkOutput]:
        """Ask about several squares in one run: the mean of each and its mirror image."""
        answers = self.session.run(self.batch(images, mirrors=True))
        found = []
        for row in range(0, 2 * len(images), 2):
            both = slice(row, row + 2)
            maps, mirrored = answers["maps"][both]
            spread = answers[SPREAD][both].mean(axis=0) if SPREAD in answers else None
            mean = np.asarray((maps + mirrored[..., ::-1]) / 2, np.float32)
            found.append(NetworkOutput(answers["scores"][both].mean(axis=0), mean, spread))
        return found

    def check_phantoms(self) -> Iterator[Check]:
        """Compare today's reading of each phantom with that at release."""
        for then in self.manifest.references:
            now = self.read_phantom(then.seed, then.condition)
            gap = max(abs(a - b) for a, b in zip(now, then.probabilities, strict=True))
            name = f"{self.manifest.name} phantom {then.seed} {then.condition}"
            words = f"largest difference of probability {gap:.4f}"
            yield Check(name, gap <= self.manifest.phantom_tolerance, words)

    def read_phantom(self, seed: int, condition: str) -> tuple[float, ...]:
        """Read one phantom: the calibrated probability of every label."""
        side = self.manifest.phantom_side
        _, film = phantom_film(seed, condition, side, side)
        scores = self.answer(film).said.scores
        return tuple(
            label.calibration.probability(float(scores[label.column]))
            for label in self.manifest.labels
        )


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
    return SharedModel(manifest, open_ensemble(manifest, columns, device, threads))
