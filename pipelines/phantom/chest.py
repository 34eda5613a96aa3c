"""A digital phantom: a frontal chest film of nobody.

Analytic anatomy in millimetres is projected along the beam into path lengths of
soft tissue, lung and bone; Beer-Lambert's law, scatter, quantum noise and a
logarithmic detector make pixels of them. Nothing comes from a real patient.

The film lies as L, F (PatientOrientation): the patient's right is on the image's left. Low values
are air and dark: MONOCHROME2, 12 bits stored in 16, unsigned.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import distance_transform_edt, gaussian_filter

from pipelines.phantom.anatomy import Anatomy, Floats, Grid, draw_anatomy, lung_mask
from pipelines.phantom.bones import bone_paths
from pipelines.phantom.vessels import vessel_paths

Condition = Literal["none", "right", "left"]
CONDITIONS: dict[str, Condition] = {"none": "none", "right": "right", "left": "left"}

FILM_HEIGHT_MM = 350.0
FINEST_MM = 0.5
"""Anatomy is computed no finer than this, then interpolated."""

SOFT_PER_MM = 0.0195
BONE_PER_MM = 0.033
"""Bone in excess of the soft tissue that it replaces, at about 70 keV."""
LUNG_DENSITY = 0.26
COLLAPSED_DENSITY = 0.34
SCATTER_SHARE = 0.28
"""Scattered over primary, after the grid."""
QUANTA = 4.0e6
WHITE = 4095


@dataclass(frozen=True, slots=True)
class Phantom:
    """One film: pixels (rows, columns) and what is true of them."""

    pixels: NDArray[np.uint16]
    """12-bit MONOCHROME2 values; air is low, bone is high."""
    pneumothorax_mask: NDArray[np.bool_]
    """Exactly the air between the chest wall and the collapsed lung."""
    lungs_mask: NDArray[np.bool_]
    """Both pleural spaces, a pneumothorax included."""
    spacing_mm: float
    condition: Condition
    seed: int

    def display(self) -> NDArray[np.float32]:
        """Give the pixels as float 0..1, as a viewer would show them."""
        return self.pixels.astype(np.float32) / np.float32(WHITE)


def chest_phantom(
    seed: int,
    pneumothorax: Condition = "none",
    severity: float | None = None,
    rows: int = 2048,
    columns: int = 2048,
) -> Phantom:
    """Make the film that belongs to `seed`; the same seed, the same film.

    `severity` is about 0.2 for a rim and 1 for a large pneumothorax; without it
    the seed decides. The same seed with and without a pneumothorax is the same
    person. The film is 350 mm high; pixels are square.
    """
    random = np.random.default_rng([seed, 20])
    spacing = FILM_HEIGHT_MM / rows
    step = max(spacing, FINEST_MM)
    shape = (round(rows * spacing / step), round(columns * spacing / step))
    anatomy = draw_anatomy(random)
    if severity is None:
        severity = float(random.uniform(0.3, 1.0))
    grid = Grid.of(shape, step, anatomy)
    paths, collapse, lungs = _paths(grid, anatomy, pneumothorax, severity, random)
    line = _resize(paths, (rows, columns))
    lungs_mask = _resize(lungs.astype(np.float32), (rows, columns)) > 0.5
    return Phantom(
        pixels=_expose(line, lungs_mask, spacing, random, anatomy.exposure),
        pneumothorax_mask=_resize(collapse.astype(np.float32), (rows, columns)) > 0.5,
        lungs_mask=lungs_mask,
        spacing_mm=spacing,
        condition=pneumothorax,
        seed=seed,
    )


def _paths(
    grid: Grid,
    anatomy: Anatomy,
    condition: Condition,
    severity: float,
    random: np.random.Generator,
) -> tuple[Floats, NDArray[np.bool_], NDArray[np.bool_]]:
    """Attenuation along each ray, the pneumothorax and the pleural spaces."""
    body = anatomy.body_thickness(grid)
    organs = anatomy.organ_thickness(grid)
    collapse = np.zeros(grid.x.shape, np.bool_)
    lungs = np.zeros(grid.x.shape, np.bool_)
    soft = body.copy()
    for side, name in ((-1, "right"), (1, "left")):
        space = lung_mask(grid, anatomy, side, 0.0)
        depth = anatomy.lung_thickness(grid, side, space)
        # Heart and mediastinum push lung out of the ray's way.
        depth = np.maximum(depth - organs, 0.0) * (organs < 0.75 * depth.max())
        inflated = space
        density = np.full(space.shape, LUNG_DENSITY, np.float32)
        if condition == name:
            inflated = space & lung_mask(grid, anatomy, side, severity)
            density[inflated] = COLLAPSED_DENSITY
            air = space & ~inflated & (depth > 0)
            density[air] = 0.0
            collapse |= air
            soft += _pleura(inflated, air, grid.step)
        lungs |= space & (depth > 0)
        soft -= depth * (1 - density)
        vessels = vessel_paths(grid, anatomy, side, random)
        soft += vessels * inflated * (depth > 0)
    soft += anatomy.air_and_gut(grid)
    bone = bone_paths(grid, anatomy)
    soft = gaussian_filter(np.maximum(soft, 0.0), 0.35 / grid.step)
    return SOFT_PER_MM * soft + BONE_PER_MM * bone, collapse, lungs


def _pleura(inflated: NDArray[np.bool_], air: NDArray[np.bool_], step: float) -> Floats:
    """Draw the visceral pleura: seen edge on, a ray meets it lengthwise."""
    if not air.any():
        return np.zeros(air.shape, np.float32)
    inside = distance_transform_edt(inflated) * step
    outside = distance_transform_edt(~inflated) * step
    distance = np.where(inflated, inside, outside)
    near_air = distance_transform_edt(~air) * step < 2.0
    return np.asarray(13.0 * np.exp(-((distance / 0.7) ** 2)) * near_air, np.float32)


def _expose(
    line: Floats,
    lungs: NDArray[np.bool_],
    spacing: float,
    random: np.random.Generator,
    exposure: float,
) -> NDArray[np.uint16]:
    """Turn attenuation into 12-bit pixels: scatter, quanta, logarithm."""
    primary = np.exp(-line)
    coarse = _resize(primary, (96, max(1, round(96 * line.shape[1] / line.shape[0]))))
    wide = gaussian_filter(np.minimum(coarse, 0.2), 5.0, mode="nearest")
    signal = primary + SCATTER_SHARE * _resize(wide, (line.shape[0], line.shape[1]))
    # A larger pixel gathers more quanta.
    quanta = signal * QUANTA * exposure * (spacing / 0.2) ** 2 * 1e-2
    quanta = quanta + np.sqrt(quanta) * random.standard_normal(line.shape, np.float32)
    grey = -np.log(np.maximum(quanta, 1.0))
    # The display table of a chest film: lung takes the lower half of the greys.
    dark = float(np.percentile(grey[::4, ::4][lungs[::4, ::4]], 2.0))
    bright = float(np.percentile(grey[::4, ::4], 99.0))
    level = np.clip((grey - dark) / (bright - dark), -0.2, 1.2)
    stretched = np.clip(0.09 + 0.88 * np.sin(np.clip(level, -0.2, 1.0) * np.pi / 2), 0.0, 1.0)
    return np.asarray(np.rint(stretched * (WHITE - 60) + 20), np.uint16)


def _resize(image: Floats, shape: tuple[int, int]) -> Floats:
    if image.shape == shape:
        return image
    source = Image.fromarray(np.ascontiguousarray(image, np.float32))
    return np.asarray(source.resize((shape[1], shape[0]), Image.Resampling.BICUBIC), np.float32)
