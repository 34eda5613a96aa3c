"""The phantom's bones: ribs, clavicles, spine, scapulae."""

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import distance_transform_edt, gaussian_filter

from pipelines.phantom.anatomy import Anatomy, Floats, Grid, lung_edges

Path = list[tuple[float, float]]
RIBS = 11
MARGIN_MM = 14.0


def bone_paths(grid: Grid, anatomy: Anatomy) -> Floats:
    """Ray length in bone, mm."""
    bone = np.zeros(grid.x.shape, np.float32)
    for side in (-1, 1):
        for number in range(RIBS):
            _add_rib(bone, grid, anatomy, side, number)
        _add_tube(bone, grid, _clavicle(anatomy, side), 6.2, 11.0)
    bone += _spine(grid, anatomy)
    bone += _scapulae(grid, anatomy)
    return bone


def _add_rib(bone: Floats, grid: Grid, anatomy: Anatomy, side: int, number: int) -> None:
    """Lay one rib: a hoop that comes down from the spine to the front."""
    random = np.random.default_rng([anatomy.seed, number])
    pitch = (anatomy.dome_y - anatomy.apex_y + 30.0) / RIBS
    lateral_y = anatomy.apex_y + 26.0 + pitch * number + random.normal(0, 0.8)
    drop = 18.0 + 3.4 * number
    reach = float(lung_edges(np.asarray([lateral_y], np.float32), anatomy, side, 0.0)[1][0]) + 3.0
    if number == 0:
        reach = 62.0
    angles = np.radians(np.linspace(8.0, 90.0, 40))
    back = [
        (side * reach * float(np.sin(a)) ** 0.9, lateral_y - drop * float(np.cos(a)) ** 1.3)
        for a in angles
    ]
    _add_tube(bone, grid, back, 5.4, 8.5)
    if number < 8:
        angles = np.radians(np.linspace(90.0, 148.0 - 2.0 * number, 40))
        front = [
            (side * reach * float(np.sin(a)), lateral_y - 1.5 * drop * float(np.cos(a)))
            for a in angles
        ]
        _add_tube(bone, grid, front, 6.3, 5.2)


def _clavicle(anatomy: Anatomy, side: int) -> Path:
    along = np.linspace(0.0, 1.0, 40)
    top = anatomy.apex_y + 34.0
    return [
        (
            side * (14.0 + 132.0 * float(t)) + anatomy.rotation * (1 - float(t)),
            top - 26.0 * float(t) + 7.0 * float(np.sin(2 * np.pi * t)),
        )
        for t in along
    ]


def _add_tube(bone: Floats, grid: Grid, path: Path, radius: float, strength: float) -> None:
    """Add a tube along a path: a dense shell about a light core."""
    angle_x = _to_pixels(grid, path)
    xs = [p[0] for p in angle_x]
    ys = [p[1] for p in angle_x]
    margin = MARGIN_MM / grid.step
    left, right = max(0, int(min(xs) - margin)), min(bone.shape[1], int(max(xs) + margin))
    top, bottom = max(0, int(min(ys) - margin)), min(bone.shape[0], int(max(ys) + margin))
    if right - left < 2 or bottom - top < 2:
        return
    canvas = Image.new("1", (right - left, bottom - top), 1)
    ImageDraw.Draw(canvas).line([(x - left, y - top) for x, y in angle_x], fill=0)
    distance = distance_transform_edt(np.asarray(canvas)) * grid.step
    outer = np.sqrt(np.clip(1 - (distance / radius) ** 2, 0.0, 1.0))
    core = np.sqrt(np.clip(1 - (distance / (radius - 1.3)) ** 2, 0.0, 1.0))
    shell = gaussian_filter(outer - 0.72 * core, 0.45 / grid.step)
    bone[top:bottom, left:right] += (2 * strength * shell).astype(np.float32)


def _to_pixels(grid: Grid, path: Path) -> Path:
    """Film pixels (column, row) of patient millimetres: the grid undone."""
    rows, columns = grid.x.shape
    origin_x, origin_y = float(grid.x[0, 0]), float(grid.y[0, 0])
    right = (
        float(grid.x[0, -1] - grid.x[0, 0]) / (columns - 1),
        float(grid.y[0, -1] - grid.y[0, 0]) / (columns - 1),
    )
    down = (
        float(grid.x[-1, 0] - grid.x[0, 0]) / (rows - 1),
        float(grid.y[-1, 0] - grid.y[0, 0]) / (rows - 1),
    )
    scale = right[0] * down[1] - right[1] * down[0]
    points = []
    for x, y in path:
        away_x, away_y = x - origin_x, y - origin_y
        points.append(
            (
                (away_x * down[1] - away_y * down[0]) / scale,
                (right[0] * away_y - right[1] * away_x) / scale,
            )
        )
    return points


def _spine(grid: Grid, anatomy: Anatomy) -> Floats:
    """Vertebral bodies with end plates, discs between them, pedicles."""
    x = grid.x - 0.4 * anatomy.rotation
    height = 17.0 + 9.0 * np.clip(grid.y / 400.0, 0.0, 1.0)
    place = np.mod(grid.y, height) / height
    body = np.clip((0.80 - np.abs(place - 0.5) * 1.75) * 12, 0.0, 1.0)
    plate = np.exp(-(((np.abs(place - 0.5) - 0.40) / 0.05) ** 2))
    half = 14.0 + 6.0 * np.clip(grid.y / 400.0, 0.0, 1.0)
    across = np.clip(1 - (np.abs(x) / half) ** 6, 0.0, 1.0)
    pedicle = sum(
        np.exp(-(((x - s * 11.0) / 3.2) ** 2) - (((place - 0.35) * height / 4.5) ** 2))
        for s in (-1, 1)
    )
    process = np.exp(-((x / 2.6) ** 2) - (((place - 0.75) * height / 5.0) ** 2))
    bone = across * (6.5 * body + 3.0 * plate) + 5.0 * pedicle + 5.0 * process
    return np.asarray(gaussian_filter(bone, 0.8 / grid.step), np.float32)


def _scapulae(grid: Grid, anatomy: Anatomy) -> Floats:
    """Flat blades beside the chest, and the heads of the arms."""
    blade = np.zeros(grid.x.shape, np.float32)
    for side in (-1, 1):
        away = side * grid.x - anatomy.half_width
        down = grid.y - anatomy.apex_y - 28.0
        edge = 4.0 + 0.20 * down
        inside = (away > edge - 12.0) & (away < 34.0 - 0.16 * down) & (down > 0) & (down < 128.0)
        flat = gaussian_filter(inside.astype(np.float32), 1.5 / grid.step)
        rim = gaussian_filter(inside.astype(np.float32), 2.5 / grid.step)
        blade += 3.0 * flat + 12.0 * np.clip(flat - rim, 0.0, 1.0)
        head = 1 - ((away - 46.0) / 24.0) ** 2 - ((grid.y - anatomy.apex_y - 22.0) / 24.0) ** 2
        blade += np.asarray(22.0 * np.sqrt(np.clip(head, 0.0, 1.0)), np.float32)
    return blade
