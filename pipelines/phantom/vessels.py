"""The phantom's lung vessels: trees that grow out of the hila."""

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from pipelines.phantom.anatomy import Anatomy, Floats, Grid

Segment = tuple[float, float, float, float, float]
"""x and y of both ends and the radius, mm."""

FINEST_RADIUS_MM = 0.35


def vessel_paths(grid: Grid, anatomy: Anatomy, side: int, random: np.random.Generator) -> Floats:
    """Ray length in one lung's vessels, mm (also where no lung is)."""
    hilum = (side * 32.0 + anatomy.rotation, anatomy.apex_y + (112.0 if side < 0 else 102.0))
    segments: list[Segment] = []
    for _ in range(2):  # arteries and veins
        for angle in np.radians((-78.0, -52.0, -25.0, 5.0, 32.0, 55.0, 75.0)):
            turn = angle + random.normal(0.0, 0.12)
            _grow(segments, hilum, turn, (random.uniform(2.2, 3.8), side), random)
    drawn = _draw(grid, segments)
    blob = np.exp(-(((grid.x - hilum[0]) / 11.0) ** 2) - (((grid.y - hilum[1]) / 19.0) ** 2))
    # Parenchyma: vessels and airways too fine to draw one by one.
    grain = random.standard_normal(grid.x.shape, np.float32)
    texture = 1.6 * gaussian_filter(grain, 1.1 / grid.step) / 0.28 * grid.step / 1.1
    return np.asarray(texture + drawn + 11.0 * blob, np.float32)


def _grow(
    segments: list[Segment],
    start: tuple[float, float],
    angle: float,
    size: tuple[float, int],
    random: np.random.Generator,
) -> None:
    """Grow a branch and, thinner, its daughters."""
    radius, side = size
    if radius < FINEST_RADIUS_MM:
        return
    x, y = start
    length = random.uniform(4.5, 7.0) * radius + 9.0
    for _ in range(3):
        angle += random.normal(0.0, 0.09)
        end_x = x + side * float(np.cos(angle)) * length / 3
        end_y = y + float(np.sin(angle)) * length / 3
        segments.append((x, y, end_x, end_y, radius))
        x, y = end_x, end_y
        radius *= 0.96
    fork = random.uniform(0.22, 0.5)
    _grow(segments, (x, y), angle + fork, (radius * random.uniform(0.6, 0.78), side), random)
    _grow(segments, (x, y), angle - fork, (radius * random.uniform(0.68, 0.84), side), random)


def _draw(grid: Grid, segments: list[Segment]) -> Floats:
    """Draw round vessels, several calibres at a time."""
    rows, columns = grid.x.shape
    centre_x, origin_y = float(grid.x[0, 0]), float(grid.y[0, 0])
    total = np.zeros((rows, columns), np.float32)
    radii = np.asarray([segment[4] for segment in segments])
    for low, high in ((0.0, 0.55), (0.55, 0.9), (0.9, 1.5), (1.5, 9.0)):
        canvas = Image.new("F", (columns, rows), 0.0)
        pen = ImageDraw.Draw(canvas)
        chosen = np.flatnonzero((radii >= low) & (radii < high))
        for index in chosen:
            x0, y0, x1, y1, radius = segments[int(index)]
            ends = [
                ((x0 - centre_x) / grid.step, (y0 - origin_y) / grid.step),
                ((x1 - centre_x) / grid.step, (y1 - origin_y) / grid.step),
            ]
            pen.line(ends, fill=6.0 * radius, width=max(1, round(1.7 * radius / grid.step)))
        middle = float(radii[chosen].mean()) if len(chosen) else 1.0
        total += gaussian_filter(np.asarray(canvas, np.float32), 0.55 * middle / grid.step)
    return total
