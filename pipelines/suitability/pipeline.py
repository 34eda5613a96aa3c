"""Decline what is no upright frontal chest radiograph."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import ClassVar

import numpy as np

from dicom_node.domain.errors import BadSettings, NotAnalysable
from dicom_node.domain.findings import Algorithm, Findings
from dicom_node.domain.study import Radiograph
from pipelines.serving.manifest import ModelManifest, PhantomReference, load_manifest
from pipelines.serving.session import share_session
from pipelines.serving.task import Square, Task
from pipelines.suitability import codes

NAME = "suitability"
OUTPUTS = ("frontal", "turn", "inverted")


@dataclass(frozen=True, slots=True)
class Verdict:
    """The probabilities, 0..1, of what an image is."""

    frontal: float
    """Calibrated: a frontal chest, however it lies."""
    turns: tuple[float, float, float, float]
    """Upright, and turned counterclockwise by 90, 180, 270 degrees."""
    inverted: float

    def reason(self, manifest: ModelManifest) -> str | None:
        """Say in words why the image is unsuitable, or None."""
        points = manifest.operating_points
        if self.frontal < points[codes.FRONTAL].threshold:
            return codes.not_frontal(self.frontal)
        if self.turns[0] < points[codes.UPRIGHT].threshold:
            return codes.rotated(90 * (1 + int(np.argmax(self.turns[1:]))))
        if 1 - self.inverted < points[codes.NOT_INVERTED].threshold:
            return codes.INVERTED
        return None


@dataclass(frozen=True, slots=True)
class SuitabilityPipeline(Task[Verdict]):
    """The gate before the reading tasks, with its loaded model."""

    SAYS: ClassVar[tuple[str, str]] = ("frontal chest", "")

    def read(self, radiograph: Radiograph) -> Findings:
        """Give no findings; `not_analysed` says why where the image is unsuitable."""
        started = perf_counter()
        algorithm = Algorithm(self.name, self.version, self.manifest.sha256)
        try:
            reason = self.judge(radiograph).reason(self.manifest)
        except NotAnalysable as error:
            reason = str(error)
        timings_ms = {"suitability": 1000 * (perf_counter() - started)}
        return Findings(algorithm, not_analysed=reason, timings_ms=timings_ms)

    def judge(self, radiograph: Radiograph) -> Verdict:
        """Give the probabilities; NotAnalysable for an image without content."""
        return self.answer(radiograph).said

    def infer(self, images: Sequence[Square]) -> list[Verdict]:
        """Judge several squares in one run."""
        told = self.session.run(self.batch(images))
        verdicts = []
        for frontal, turns, inverted in zip(
            told["frontal"], told["turn"], told["inverted"], strict=True
        ):
            upright, once, twice, thrice = map(float, turns)
            share = self.manifest.calibration.probability(float(frontal[0]))
            verdicts.append(Verdict(share, (upright, once, twice, thrice), float(inverted[0])))
        return verdicts

    def reread(self, reference: PhantomReference) -> PhantomReference:
        """Judge one phantom: the probability that it is a frontal chest."""
        _, film = self.film(reference)
        return replace(reference, probability=self.judge(film).frontal)


def load(models_dir: Path, device: str = "auto", threads: int = 0) -> SuitabilityPipeline:
    """Load the model of `models_dir`/suitability; BadSettings if unfit."""
    manifest = load_manifest(models_dir / NAME)
    missing = set(OUTPUTS) - set(manifest.outputs)
    points = {codes.FRONTAL, codes.UPRIGHT, codes.NOT_INVERTED}
    missing |= points - set(manifest.operating_points)
    if manifest.name != NAME or missing:
        raise BadSettings(
            f"{models_dir / NAME}: is a model {manifest.name!r} with outputs "
            f"{list(manifest.outputs)}; {NAME} lacks {sorted(missing)}"
        )
    return SuitabilityPipeline(manifest, share_session(manifest, device, threads))
