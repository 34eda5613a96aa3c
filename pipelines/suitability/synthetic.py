"""Pictures of what a frontal chest is not, drawn from nothing.

Noise, gradients, patterns, shapes, text, and crude projections of limbs, heads,
breasts, axial slices and lateral chests. They teach a network that most of the
world is no chest; that they look unreal does not matter for it.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter, rotate

Floats = NDArray[np.float32]
Draw = np.random.Generator

LETTERS = "ABCDEFGHIKLMNOPRSTUVWabcdefghiklmnoprstuvw0123456789.,:-/ "


def picture(size: int, draw: Draw) -> NDArray[np.uint8]:
    """Draw one picture (size, size) of a kind that `draw` chooses."""
    make = KINDS[int(draw.integers(len(KINDS)))]
    image = make(size, draw)
    if draw.random() < 0.5:
        image = image + draw.uniform(0.0, 0.25) * np.ptp(image) * cloud(size, draw)
    if draw.random() < 0.3:
        image = gaussian_filter(image, draw.uniform(0.5, 2.0))
    low, high = np.percentile(image, (0.5, 99.5))
    grey = np.clip((image - low) / max(float(high - low), 1e-6), 0, 1)
    if draw.random() < 0.25:
        grey = 1 - grey
    return np.asarray(np.rint(255 * grey), np.uint8)


def axes(size: int) -> tuple[Floats, Floats]:
    """Give row and column coordinates, -1..1."""
    line = np.linspace(-1, 1, size, dtype=np.float32)
    rows, columns = np.meshgrid(line, line, indexing="ij")
    return rows, columns


def cloud(size: int, draw: Draw) -> Floats:
    """Give smooth noise with power at all scales, 0..1: the look of nature."""
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(size), np.fft.rfftfreq(size), indexing="ij"))
    phases = np.exp(2j * np.pi * draw.random(frequency.shape))
    waves = np.fft.irfft2(
        phases * np.maximum(frequency, 1 / size) ** -draw.uniform(0.8, 2.0), (size, size)
    )
    return np.asarray((waves - waves.min()) / max(float(np.ptp(waves)), 1e-9), np.float32)


def noise(size: int, draw: Draw) -> Floats:
    """Draw white noise, blurred or not."""
    grain = draw.standard_normal((size, size), np.float32)
    return np.asarray(gaussian_filter(grain, float(draw.choice([0, 0, 1, 3, 8]))), np.float32)


def gradient(size: int, draw: Draw) -> Floats:
    """Draw a ramp or a spot of light."""
    rows, columns = axes(size)
    if draw.random() < 0.5:
        angle = draw.uniform(0, 2 * np.pi)
        return np.asarray(rows * np.sin(angle) + columns * np.cos(angle), np.float32)
    centre = draw.uniform(-0.7, 0.7, 2)
    return np.asarray(-np.hypot(rows - centre[0], columns - centre[1]), np.float32)


def pattern(size: int, draw: Draw) -> Floats:
    """Draw stripes, grids, checkers, rings."""
    rows, columns = axes(size)
    angle, pitch = draw.uniform(0, np.pi), draw.uniform(4, 60)
    along = np.sin(pitch * (rows * np.sin(angle) + columns * np.cos(angle)))
    across = np.sin(pitch * (rows * np.cos(angle) - columns * np.sin(angle)))
    rings = np.sin(pitch * np.hypot(rows, columns))
    choices = (along, along * across, np.maximum(along, across), np.sign(along * across), rings)
    return np.asarray(choices[int(draw.integers(len(choices)))], np.float32)


def shapes(size: int, draw: Draw) -> Floats:
    """Draw ellipses, rectangles and lines at random."""
    canvas = Image.new("F", (size, size), float(draw.uniform(0, 0.4)))
    pen = ImageDraw.Draw(canvas)
    for _ in range(int(draw.integers(1, 14))):
        first, other = draw.uniform(-0.2, 1.2, (2, 2)) * size
        low, high = np.minimum(first, other), np.maximum(first, other) + 1
        box = [float(value) for value in (*low, *high)]
        grey = float(draw.random())
        kind = int(draw.integers(3))
        if kind == 0:
            pen.ellipse(box, fill=grey)
        elif kind == 1:
            pen.rectangle(box, fill=grey)
        else:
            pen.line(box, fill=grey, width=int(draw.integers(1, 8)))
    return np.asarray(canvas, np.float32)


def text(size: int, draw: Draw) -> Floats:
    """Write a page, or some words."""
    canvas = Image.new("F", (size, size), 0.0)
    pen = ImageDraw.Draw(canvas)
    height = int(draw.integers(7, 34))
    font = ImageFont.load_default(height)
    top = int(draw.integers(0, size // 3))
    while top < size * draw.uniform(0.5, 1.2):
        line = "".join(LETTERS[int(n)] for n in draw.integers(0, len(LETTERS), 40))
        pen.text((int(draw.integers(0, 12)), top), line, fill=1.0, font=font)
        top += round(height * draw.uniform(1.1, 1.8))
    return np.asarray(canvas, np.float32) + np.float32(draw.uniform(0, 0.3)) * cloud(size, draw)


def _ball(rows: Floats, columns: Floats, place: tuple[float, float], radii: list[float]) -> Floats:
    """Give the path length through an ellipsoid of depth 1."""
    away = ((rows - place[0]) / radii[0]) ** 2 + ((columns - place[1]) / radii[1]) ** 2
    return np.asarray(np.sqrt(np.clip(1 - away, 0, None)), np.float32)


def _bone(rows: Floats, columns: Floats, middle: float, radius: float) -> Floats:
    """Give the path through an upright tube of bone with marrow, wider at the ends."""
    flare = radius * (1 + 0.5 * np.abs(rows) ** 4)
    across = (columns - middle) / flare
    outer = np.sqrt(np.clip(1 - across**2, 0, None))
    inner = np.sqrt(np.clip(1 - (across / 0.65) ** 2, 0, None))
    return np.asarray(outer - 0.5 * inner, np.float32)


def limb(size: int, draw: Draw) -> Floats:
    """Draw one to six bones side by side in soft tissue, as arms, legs and hands have."""
    rows, columns = axes(size)
    count = int(draw.integers(1, 7))
    reach = draw.uniform(0.3, 0.9)
    image = np.zeros((size, size), np.float32)
    for number in range(count):
        middle = 0.0 if count == 1 else reach * (2 * number / (count - 1) - 1)
        bend = middle + draw.uniform(-0.2, 0.2) * rows
        radius = draw.uniform(0.3, 0.7) * reach / max(count, 2)
        bone = _bone(rows, columns - bend, 0.0, radius)
        for joint in draw.uniform(-1, 1, int(draw.integers(0, 4))):
            bone = bone * (1 - 0.8 * np.exp(-(((rows - joint) / 0.03) ** 2)))
        tissue = np.sqrt(np.clip(1 - ((columns - bend) / (2.2 * radius)) ** 2, 0, None))
        image += np.asarray(bone + draw.uniform(0.3, 0.7) * tissue, np.float32)
    turned = rotate(image, draw.uniform(0, 360), reshape=False, order=1)
    return np.asarray(turned, np.float32)


def head(size: int, draw: Draw) -> Floats:
    """Draw a ring of bone around grey: a skull, a slice of one."""
    rows, columns = axes(size)
    place = (float(draw.uniform(-0.2, 0.2)), float(draw.uniform(-0.2, 0.2)))
    radii = [float(draw.uniform(0.5, 0.95)), float(draw.uniform(0.4, 0.85))]
    thick = draw.uniform(0.85, 0.96)
    outer = _ball(rows, columns, place, radii) > 0
    inner = _ball(rows, columns, place, [thick * radius for radius in radii]) > 0
    inside = draw.uniform(0.2, 0.7) + 0.2 * cloud(size, draw)
    return np.asarray(np.where(inner, inside, outer * 1.0), np.float32)


def breast(size: int, draw: Draw) -> Floats:
    """Draw half a disc at the film's edge with strands in it."""
    rows, columns = axes(size)
    radii = [float(draw.uniform(0.4, 0.9)), float(draw.uniform(0.7, 1.6))]
    skin = _ball(rows, columns, (float(draw.uniform(-0.2, 0.2)), 1.0), radii)
    image = skin * (0.5 + 0.5 * cloud(size, draw) ** 2)
    return np.asarray(image[:, ::-1] if draw.random() < 0.5 else image, np.float32)


def axial(size: int, draw: Draw) -> Floats:
    """Draw a slice through the chest: two dark lungs in an oval body."""
    rows, columns = axes(size)
    body = [float(draw.uniform(0.5, 0.85)), float(draw.uniform(0.75, 0.98))]
    image = np.where(_ball(rows, columns, (0, 0), body) > 0, 0.7, 0.0)
    for side in (-1, 1):
        place = (float(draw.uniform(-0.1, 0.05)), side * body[1] * float(draw.uniform(0.4, 0.55)))
        lung = [body[0] * float(draw.uniform(0.6, 0.8)), body[1] * float(draw.uniform(0.3, 0.42))]
        vessels = cloud(size, draw) ** 4
        image = np.where(_ball(rows, columns, place, lung) > 0, 0.1 + 0.5 * vessels, image)
    spine = _ball(rows, columns, (0.6 * body[0], 0), [0.14, 0.14]) > 0
    return np.asarray(np.where(spine, 1.0, image), np.float32)


def lateral(size: int, draw: Draw) -> Floats:
    """Draw a chest from the side: one lung field, spine behind, heart in front."""
    rows, columns = axes(size)
    lean = columns + draw.uniform(-0.2, 0.2) * rows
    body = _ball(rows, lean, (0.2, 0.0), [1.8, float(draw.uniform(0.6, 0.9))])
    lung = _ball(rows, lean, (0.0, 0.0), [float(draw.uniform(0.7, 0.9)), draw.uniform(0.4, 0.6)])
    heart = _ball(rows, lean, (0.3, -0.25), [0.35, float(draw.uniform(0.2, 0.35))])
    behind = lean - draw.uniform(0.3, 0.5) - 0.12 * np.cos(2.5 * rows)
    spine = np.exp(-((behind / 0.11) ** 2)) * (1 + 0.25 * np.sin(rows * draw.uniform(25, 40)))
    dome = 1 / (1 + np.exp(-(rows - draw.uniform(0.3, 0.6) - 0.3 * (columns + 0.2) ** 2) * 25))
    ribs = np.clip(np.sin(18 * (rows + 0.6 * lean)), 0, 1) * lung
    image = body + 0.4 * heart + 0.3 * spine - 0.75 * lung * (1 - dome) + 0.5 * dome * (body > 0)
    image = image + 0.05 * ribs + 0.1 * cloud(size, draw) * lung
    return np.asarray(image[:, ::-1] if draw.random() < 0.5 else image, np.float32)


def round_field(size: int, draw: Draw) -> Floats:
    """Draw a round window as of fluoroscopy, a fan as of ultrasound."""
    rows, columns = axes(size)
    inside = cloud(size, draw) + 0.5 * limb(size, draw)
    if draw.random() < 0.5:
        window = np.hypot(rows, columns) < draw.uniform(0.7, 1.0)
    else:
        angle = np.arctan2(columns, rows + 1.0)
        window = (np.abs(angle) < draw.uniform(0.4, 0.9)) & (np.hypot(rows + 1, columns) < 1.9)
    return np.asarray(np.where(window, inside, 0.0), np.float32)


KINDS: tuple[Callable[[int, Draw], Floats], ...] = (
    *(noise, gradient, pattern, cloud, shapes, text),
    *(limb, limb, limb, head, breast, axial, axial, lateral, lateral, lateral, round_field),
)
