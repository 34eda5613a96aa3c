"""The phantom's soft anatomy: body, lungs, heart, gut.

Coordinates are millimetres: x to the image's right from the midline, y down
from the top of the film. Side -1 is the patient's right, on the image's left.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Anatomy:
    """One person, one breath, one exposure; lengths in mm."""

    half_width: float
    """From the midline to the lateral wall of the chest at its widest."""
    thickness: float
    apex_y: float
    dome_y: float
    """Height of the right dome; the left lies lower."""
    left_lower: float
    heart_half_width: float
    heart_shift: float
    knob: float
    tilt: float
    """Turn of the patient on the film, radians."""
    rotation: float
    """Turn about the long axis: midline structures move, in mm."""
    bubble: float
    exposure: float
    seed: int

    def body_thickness(self, grid: "Grid") -> Floats:
        """Ray length in the body: neck, shoulders, trunk."""
        reach = (grid.y + 2.0) / 55.0
        shoulder = 62.0 + (self.half_width + 75.0) * np.clip(reach, 0.0, 1.0) ** 0.6
        trunk = self.half_width + 28.0 + 10.0 * np.cos((grid.y - 260.0) / 90.0)
        blend = np.clip((grid.y - 75.0) / 70.0, 0.0, 1.0)
        edge = shoulder * (1 - blend) + trunk * blend
        share = np.clip(1 - (np.abs(grid.x) / edge) ** 2.6, 0.0, 1.0) ** 0.55
        depth = self.thickness * (0.62 + 0.38 * np.clip((grid.y - 20) / 130.0, 0.0, 1.0))
        belly = 1 + 0.12 * np.clip((grid.y - self.dome_y) / 120.0, 0.0, 1.0)
        return np.asarray(share * depth * belly, np.float32)

    def lung_thickness(self, grid: "Grid", side: int, space: NDArray[np.bool_]) -> Floats:
        """Ray length in one pleural space."""
        inner, outer = lung_edges(grid.y, self, side, 0.0)
        across = np.clip((side * grid.x - inner) / np.maximum(outer - inner, 1.0), 0.0, 1.0)
        round_off = np.sqrt(np.clip(1 - (2 * np.clip(across, 0.28, 1) - 1) ** 2, 0.0, 1.0))
        down = np.clip((grid.y - self.apex_y) / 110.0, 0.0, 1.0)
        depth = 0.78 * self.thickness * round_off * (0.4 + 0.6 * np.sqrt(1 - (1 - down) ** 2))
        return np.asarray(depth * space, np.float32)

    def organ_thickness(self, grid: "Grid") -> Floats:
        """Ray length in heart, great vessels and mediastinum."""
        x = grid.x - self.rotation
        heart_y = self.dome_y - 28.0
        heart = _ellipsoid(
            (x - self.heart_shift, grid.y - heart_y), (self.heart_half_width, 56.0), 118.0, 0.42
        )
        upper = 26.0 + 7.0 * np.clip((grid.y - self.apex_y - 50) / 120.0, -0.6, 1.0)
        column = np.clip(1 - (np.abs(x) / upper) ** 4, 0.0, 1.0) ** 0.5 * 130.0
        knob = _ellipsoid((x - 26.0, grid.y - self.apex_y - 70.0), (self.knob, 17.0), 70.0, 0.0)
        artery = _ellipsoid((x - 28.0, grid.y - self.apex_y - 104.0), (17.0, 20.0), 70.0, 0.2)
        cava = _ellipsoid((x + 25.0, grid.y - self.apex_y - 85.0), (12.0, 55.0), 60.0, 0.0)
        atrium = _ellipsoid((x + 10.0, grid.y - heart_y + 6.0), (36.0, 52.0), 100.0, 0.0)
        parts = np.maximum.reduce([heart, column, knob, artery, cava, atrium])
        return np.asarray(gaussian_filter(parts, 0.9 / grid.step), np.float32)

    def air_and_gut(self, grid: "Grid") -> Floats:
        """Trachea, main bronchi and stomach bubble: air, so negative."""
        x = grid.x - self.rotation
        fork_y = self.apex_y + 92.0
        wall = 8.5 + 0.5 * np.sin(grid.y / 5.0)
        tube = np.sqrt(np.clip(1 - ((x - 2.0) / wall) ** 2, 0.0, 1.0)) * (grid.y < fork_y)
        air = 17.0 * tube
        for side, slope in ((-1, 0.62), (1, 1.0)):
            away = side * (x - 2.0)
            offset = (grid.y - fork_y + 6) - away / slope
            bronchus = np.sqrt(np.clip(1 - (offset / 9.0) ** 2, 0.0, 1.0))
            air = np.maximum(air, 9.0 * bronchus * ((away > 0) & (away < 36.0)))
        bubble = _ellipsoid(
            (x - 62.0, grid.y - self.dome_y - self.left_lower - 24.0),
            (self.bubble, 14.0),
            45.0,
            0.2,
        )
        return np.asarray(-gaussian_filter(air + bubble, 0.6 / grid.step), np.float32)


@dataclass(frozen=True, slots=True)
class Grid:
    """Millimetre coordinates of the film's pixels, seen from the patient."""

    x: Floats
    y: Floats
    step: float

    @staticmethod
    def of(shape: tuple[int, int], step: float, anatomy: Anatomy) -> "Grid":
        """Lay the grid out, turned by the patient's tilt."""
        rows, columns = shape
        down = (np.arange(rows, dtype=np.float32)[:, None] + 0.5) * step
        right = (np.arange(columns, dtype=np.float32)[None, :] + 0.5 - columns / 2) * step
        cosine, sine = np.cos(anatomy.tilt), np.sin(anatomy.tilt)
        middle = rows * step / 2
        x = right * cosine + (down - middle) * sine
        y = (down - middle) * cosine - right * sine + middle
        return Grid(x.astype(np.float32), y.astype(np.float32), step)


def draw_anatomy(random: np.random.Generator) -> Anatomy:
    """Draw a person."""
    breath = random.uniform(-14.0, 14.0)
    width = random.uniform(122.0, 148.0)
    return Anatomy(
        half_width=width,
        thickness=random.uniform(190.0, 250.0),
        apex_y=random.uniform(26.0, 44.0),
        dome_y=262.0 + breath,
        left_lower=random.uniform(8.0, 16.0),
        heart_half_width=width * random.uniform(0.46, 0.58),
        heart_shift=random.uniform(12.0, 22.0),
        knob=random.uniform(11.0, 18.0),
        tilt=float(np.radians(random.normal(0.0, 1.5))),
        rotation=random.normal(0.0, 3.0),
        bubble=random.uniform(12.0, 24.0),
        exposure=random.uniform(0.6, 1.6),
        seed=int(random.integers(1 << 30)),
    )


def lung_edges(y: Floats, anatomy: Anatomy, side: int, severity: float) -> tuple[Floats, Floats]:
    """Distances of a lung's medial and lateral edge from the midline, by height."""
    lowered = 46.0 * severity
    fall = np.clip((y - anatomy.apex_y - lowered) / 95.0, 0.0, 1.0)
    opening = np.sqrt(np.clip(1 - (1 - fall) ** 2, 0.0, 1.0))
    below = np.clip((y - anatomy.apex_y) / (anatomy.dome_y - anatomy.apex_y), 0.0, 1.3)
    retreat = severity * (44.0 - 26.0 * below) + 0.6 * severity * np.sin(y / 11.0)
    widest = anatomy.half_width * (0.86 + 0.14 * np.sin(np.clip(below, 0, 1) * np.pi / 2)) - retreat
    apex_x = 44.0 - 6.0 * severity
    outer = apex_x + (widest - apex_x) * opening
    inner = apex_x - (apex_x - 14.0) * np.clip(opening * 1.15, 0.0, 1.0)
    closed = fall <= 0
    return (
        np.where(closed, apex_x, inner).astype(np.float32),
        np.where(closed, apex_x, outer).astype(np.float32),
    )


def lung_mask(grid: Grid, anatomy: Anatomy, side: int, severity: float) -> NDArray[np.bool_]:
    """One lung between apex, chest wall and diaphragm."""
    inner, outer = lung_edges(grid.y, anatomy, side, severity)
    away = side * grid.x
    dome = anatomy.dome_y + (anatomy.left_lower if side > 0 else 0.0)
    centre = 0.50 * anatomy.half_width
    wide = np.where(away > centre, anatomy.half_width - centre, 1.25 * centre)
    drop = 1 - np.sqrt(np.clip(1 - ((away - centre) / (wide * 1.04)) ** 2, 0.0, 1.0))
    floor = dome + np.where(away > centre, 46.0, 16.0) * drop
    return np.asarray((away > inner) & (away < outer) & (grid.y < floor), np.bool_)


def _ellipsoid(
    offset: tuple[Floats, Floats], radii: tuple[float, float], depth: float, turn: float
) -> Floats:
    x, y = offset
    cosine, sine = np.cos(turn), np.sin(turn)
    along, across = x * cosine + y * sine, y * cosine - x * sine
    inside = 1 - (along / radii[0]) ** 2 - (across / radii[1]) ** 2
    return np.asarray(depth * np.clip(inside, 0.0, 1.0) ** 0.4, np.float32)
