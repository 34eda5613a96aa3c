"""Outline lungs and heart, and measure the cardiothoracic ratio."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from dicom_node.domain.errors import BadSettings, NotAnalysable
from dicom_node.domain.findings import Algorithm, Finding, Findings, Measurement, Presence
from dicom_node.domain.study import Radiograph, Spacing
from pipelines.anatomy import codes
from pipelines.anatomy.outline import Outline, Width, outline
from pipelines.geometry import Geometry, to_stored
from pipelines.serving.manifest import ModelManifest, PhantomReference, load_manifest
from pipelines.serving.session import share_session
from pipelines.serving.task import Square, Task

NAME = "anatomy"
VISIBLE, WHOLE, HEART = range(3)
"""The network's channels: lungs up to the heart, lungs behind it too, heart."""


@dataclass(frozen=True, slots=True)
class Anatomy:
    """What is where on one radiograph; masks (rows, columns) in stored pixels."""

    right_lung: NDArray[np.bool_]
    left_lung: NDArray[np.bool_]
    heart: NDArray[np.bool_]
    ratio: float | None
    """The cardiothoracic ratio; None where heart or lungs were not found."""
    heart_line: codes.Line | None
    thorax_line: codes.Line | None


@dataclass(frozen=True, slots=True)
class AnatomyPipeline(Task[NDArray[np.float32]]):
    """The reading task with its loaded model."""

    SAYS: ClassVar[tuple[str, str]] = ("heart probability", "lungs")

    def read(self, radiograph: Radiograph) -> Findings:
        """Measure one radiograph; NotAnalysable where nothing can be outlined."""
        answer = self.answer(radiograph)
        answered = perf_counter()
        finding = _finding(self.manifest, radiograph, answer.geometry, answer.said)
        notes = radiograph.notes
        if finding.presence is Presence.UNDETERMINED:
            notes = (*notes, codes.NOT_PA)
        timings_ms = answer.timings_ms | {"postprocess": 1000 * (perf_counter() - answered)}
        algorithm = Algorithm(self.name, self.version, self.manifest.sha256)
        return Findings(algorithm, (finding,), notes=notes, timings_ms=timings_ms)

    def read_anatomy(self, radiograph: Radiograph) -> Anatomy:
        """Outline one radiograph for another task; NotAnalysable if empty."""
        shares, geometry = self.regions(radiograph)
        level = self.manifest.mask_threshold
        found = grid_outline(shares, level)
        parts = []
        for kept, channels in (
            (found.right_lung, (VISIBLE, WHOLE)),
            (found.left_lung, (VISIBLE, WHOLE)),
            (found.heart, (HEART,)),
        ):
            whole = shares[list(channels)].max(axis=0)
            # What another part has, above the level, is no part of this one; below
            # it the map stays, for a border as smooth as the network drew it.
            mine = np.where((whole > level) & ~kept, np.float32(0), whole)
            parts.append(to_stored(mine, geometry, level))
        heart, thorax = found.heart_width, found.thorax_width
        return Anatomy(
            parts[0],
            parts[1],
            parts[2],
            found.ratio,
            None if heart is None else stored_line(heart, shares.shape[1:], geometry),
            None if thorax is None else stored_line(thorax, shares.shape[1:], geometry),
        )

    def regions(self, radiograph: Radiograph) -> tuple[NDArray[np.float32], Geometry]:
        """Give the regions' probabilities (3, size, size) in standard orientation."""
        answer = self.answer(radiograph)
        return answer.said, answer.geometry

    def infer(self, images: Sequence[Square]) -> list[NDArray[np.float32]]:
        """Give the regions' probabilities (3, size, size) of each square."""
        return list(np.asarray(self.session.run(self.batch(images))["regions"], np.float32))

    def reread(self, reference: PhantomReference) -> PhantomReference:
        """Read one phantom: probability of a large heart, and the lungs' mm2."""
        phantom, film = self.film(reference)
        shares, _ = self.regions(film)
        found = grid_outline(shares, self.manifest.mask_threshold)
        cells = float(found.right_lung.mean() + found.left_lung.mean())
        ratio = found.ratio
        probability = 0.0 if ratio is None else self.manifest.calibration.probability(ratio)
        mask_mm2 = cells * film.pixels.size * phantom.spacing_mm**2
        return replace(reference, probability=probability, mask_mm2=mask_mm2)


def load(models_dir: Path, device: str = "auto", threads: int = 0) -> AnatomyPipeline:
    """Load the model of `models_dir`/anatomy; BadSettings if unfit."""
    manifest = load_manifest(models_dir / NAME)
    if manifest.name != NAME or "regions" not in manifest.outputs:
        raise BadSettings(
            f"{models_dir / NAME}: is a model {manifest.name!r} with outputs "
            f"{list(manifest.outputs)}; {NAME} needs 'regions'"
        )
    return AnatomyPipeline(manifest, share_session(manifest, device, threads))


def grid_outline(shares: NDArray[np.float32], level: float) -> Outline:
    """Outline on the network's grid; the lungs with what lies behind the heart."""
    lungs = shares[[VISIBLE, WHOLE]].max(axis=0) > level
    return outline(np.asarray(lungs, np.bool_), np.asarray(shares[HEART] > level, np.bool_))


def _finding(
    manifest: ModelManifest,
    radiograph: Radiograph,
    geometry: Geometry,
    shares: NDArray[np.float32],
) -> Finding:
    """Judge the ratio on a PA view; state it on any."""
    found = grid_outline(shares, manifest.mask_threshold)
    ratio, heart, thorax = found.ratio, found.heart_width, found.thorax_width
    if ratio is None or heart is None or thorax is None:
        raise NotAnalysable(codes.NO_OUTLINE)
    probability = manifest.calibration.probability(ratio)
    point = manifest.default_operating_point
    presence = Presence.PRESENT if probability >= point.threshold else Presence.ABSENT
    if radiograph.view_position.upper() != "PA":
        presence = Presence.UNDETERMINED
    grid = shares.shape[1:]
    lines = (stored_line(heart, grid, geometry), stored_line(thorax, grid, geometry))
    measurements = [codes.ratio(ratio, lines[0])]
    measurements += _sizes(radiograph.spacing, found, geometry, lines)
    return Finding(
        code=codes.CODE,
        presence=presence,
        probability=probability,
        operating_point=point,
        site=codes.SITE,
        measurements=tuple(measurements),
    )


def _sizes(
    spacing: Spacing | None,
    found: Outline,
    geometry: Geometry,
    lines: tuple[codes.Line, codes.Line],
) -> list[Measurement]:
    """Give diameters in mm (pixels without spacing), areas in mm2 (or none)."""
    row_mm, column_mm = (1.0, 1.0) if spacing is None else (spacing.row_mm, spacing.column_mm)
    lengths = [
        float(np.hypot((row - other) * row_mm, (column - far) * column_mm))
        for (row, column), (other, far) in lines
    ]
    sizes = codes.widths(lengths[0], lengths[1], lines, mm=spacing is not None)
    if spacing is not None:
        rows, columns = geometry.stored_shape
        film_mm2 = rows * row_mm * columns * column_mm
        right, left = found.right_lung.mean(), found.left_lung.mean()
        sizes += codes.areas(float(right) * film_mm2, float(left) * film_mm2)
    return sizes


def stored_line(width: Width, grid: tuple[int, ...], geometry: Geometry) -> codes.Line:
    """Carry a line from the network's grid to stored pixels (SCOORD sense)."""
    rows, columns = geometry.standard_shape
    row = width.row * rows / grid[0]
    start, end = (
        geometry.point_to_stored((row, column * columns / grid[1]))
        for column in (width.first, width.last)
    )
    return start, end
