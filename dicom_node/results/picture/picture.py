"""The radiograph with its findings drawn in: contours, lines, boxes, sides.

Drawn in stored pixel order, so that it matches the source beside it. A contour
runs around its region, never over it; what is written stands outside the picture,
but for names with their probability, and lines' letters.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from string import ascii_lowercase

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from dicom_node.domain.findings import Box, Finding, Findings
from dicom_node.domain.regions import region_of
from dicom_node.domain.study import Radiograph
from dicom_node.results.colours import RGB, colour_of
from dicom_node.results.picture.frame import add_frame
from dicom_node.results.picture.typeface import font, legible
from dicom_node.results.words import probability

Area = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels of the picture."""
GAP = 4.0
STEPS = 12
"""How many rows a label may move away from its box."""


def place_labels(
    boxes: Sequence[Area],
    sizes: Sequence[tuple[float, float]],
    picture: tuple[int, int],
    kept: Sequence[Area] = (),
) -> list[Area]:
    """Give each label of (width, height) a place at its box, inside (width, height).

    The nearest place wins that is not `kept` free: above the box, below it, then further
    away. Where everything is taken the first is used: a covered name is better than none.
    """
    places: list[Area] = []
    for box, size in zip(boxes, sizes, strict=True):
        wanted = [_inside(area, picture) for area in _candidates(box, size)]
        free = (
            place
            for place in wanted
            if not any(_overlap(place, other) for other in (*kept, *places))
        )
        places.append(next(free, wanted[0]))
    return places


def _candidates(box: Area, size: tuple[float, float]) -> Iterator[Area]:
    left, top, right, bottom = box
    width, height = size
    for step in range(STEPS):
        away = GAP + step * height
        for x in (left, right - width):
            yield x, top - away - height, x + width, top - away
            yield x, bottom + away, x + width, bottom + away + height


def _inside(area: Area, picture: tuple[int, int]) -> Area:
    left, top, right, bottom = area
    right_by = max(0.0, -left) - max(0.0, right - picture[0])
    down_by = max(0.0, -top) - max(0.0, bottom - picture[1])
    return left + right_by, top + down_by, right + right_by, bottom + down_by


def _overlap(area: Area, other: Area) -> bool:
    across = area[0] < other[2] and other[0] < area[2]
    return across and area[1] < other[3] and other[1] < area[3]


LONGEST = 1024
HALO: RGB = (0, 0, 0)
STROKE: RGB = (255, 255, 255)
CONTOUR_WIDTH = 3.0
HALO_WIDTH = 5.0
LETTER_ROOM = 12
"""From the middle of a line's letter to the picture's edge, at least."""
LABEL_SIZE, LABEL_EDGE = 19, 4
"""Of a name: its letters, and what the dark plate below them is larger."""

Line = tuple[tuple[float, float], tuple[float, float]]
"""Two (row, column) points of the source."""
Point = NDArray[np.float64]
"""(x, y) in pixels of the picture."""


@dataclass(frozen=True, slots=True)
class Scale:
    """From stored (row, column) to pixels of the picture."""

    factor: float
    width: int
    height: int

    def point(self, row: float, column: float) -> tuple[float, float]:
        """Map a point to (x, y)."""
        return column * self.factor, row * self.factor


def scale_for(shape: tuple[int, int]) -> Scale:
    """Fit an image of (rows, columns) to LONGEST, keeping its aspect."""
    rows, columns = shape
    factor = LONGEST / max(rows, columns)
    return Scale(factor, max(1, round(columns * factor)), max(1, round(rows * factor)))


def draw_picture(radiograph: Radiograph, findings: tuple[Findings, ...]) -> Image.Image:
    """Draw the radiograph and its findings, with a margin that names the sides."""
    scale = scale_for(radiograph.pixels.shape)
    picture = np.asarray(_shrink(_grey(radiograph.pixels), scale).convert("RGB")).copy()
    marks = marks_of(findings)
    for mark in marks:
        region = region_of(mark.finding)
        if region is not None:
            _draw_contour(picture, region, scale, mark.colour)
    image = Image.fromarray(picture)
    canvas = ImageDraw.Draw(image)
    _draw_boxes(canvas, marks, scale)
    lines = _letters([mark.finding for mark in marks])
    _draw_names(canvas, marks, lines, scale)
    for line, letter in lines.items():
        _draw_line(canvas, line, letter, scale)
    return add_frame(image, radiograph, scale.factor)


@dataclass(frozen=True, slots=True)
class Mark:
    """How a finding is marked: its colour, and a letter for each measured line."""

    finding: Finding
    colour: RGB
    letters: tuple[str, ...]
    """One per measurement; empty for one without a line."""


def marks_of(findings: tuple[Findings, ...]) -> list[Mark]:
    """Choose the marks: the same for the picture and for the words beside it.

    Colours go by the segments' numbers, then to findings with boxes alone.
    """
    known = [finding for answer in findings for finding in answer.findings]
    regions = [finding for finding in known if region_of(finding) is not None]
    boxed = [finding for finding in known if finding.boxes and region_of(finding) is None]
    number = {id(finding): index for index, finding in enumerate((*regions, *boxed))}
    letter = _letters(known)
    return [
        Mark(
            finding,
            colour_of(number.get(id(finding), 0)),
            tuple(
                letter[measurement.line] if measurement.line else ""
                for measurement in finding.measurements
            ),
        )
        for finding in known
    ]


def _letters(findings: list[Finding]) -> dict[Line, str]:
    """Letter the measured lines; measurements along the same line share it."""
    lines = [
        measurement.line
        for finding in findings
        for measurement in finding.measurements
        if measurement.line
    ]
    return dict(zip(dict.fromkeys(lines), cycle(ascii_lowercase), strict=False))


def _grey(pixels: NDArray[np.float32]) -> Image.Image:
    grey = np.multiply(pixels, 255)
    grey += 0.5
    return Image.fromarray(np.clip(grey, 0, 255, out=grey).astype(np.uint8))


def _shrink(image: Image.Image, scale: Scale) -> Image.Image:
    """Resize in two steps: averaging whole blocks first is several times as fast."""
    size, whole = (scale.width, scale.height), int(1 / scale.factor)
    if whole < 2:
        return image.resize(size, Image.Resampling.BICUBIC)
    exact = (0, 0, image.width / whole, image.height / whole)
    return image.reduce(whole).resize(size, Image.Resampling.BILINEAR, box=exact)


def scaled_mask(mask: NDArray[np.bool_], scale: Scale) -> NDArray[np.bool_]:
    """Shrink a region so that what is thin stays; (height, width) of the picture."""
    shown = Image.fromarray(mask.view(np.uint8) * np.uint8(255))
    if scale.factor >= 1:
        shown = shown.resize((scale.width, scale.height), Image.Resampling.NEAREST)
    else:
        shown = _shrink(shown, scale)
    return np.asarray(shown) > 63


def _draw_contour(
    picture: NDArray[np.uint8], mask: NDArray[np.bool_], scale: Scale, colour: RGB
) -> None:
    region = scaled_mask(mask, scale)
    rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    if not rows.size:
        return
    edge = int(HALO_WIDTH) + 2
    crop = (
        slice(max(0, rows[0] - edge), rows[-1] + edge + 1),
        slice(max(0, columns[0] - edge), columns[-1] + edge + 1),
    )
    distance = ndimage.distance_transform_edt(~region[crop])
    part = picture[crop]
    part[(distance > CONTOUR_WIDTH) & (distance <= HALO_WIDTH)] = HALO
    part[(distance > 0) & (distance <= CONTOUR_WIDTH)] = colour


def _draw_line(canvas: ImageDraw.ImageDraw, line: Line, letter: str, scale: Scale) -> None:
    start, end, along = _stroke(line, scale)
    tick = np.array([-along[1], along[0]]) * 7
    strokes = [(start, end), (start - tick, start + tick), (end - tick, end + tick)]
    for width, colour in ((6, HALO), (2, STROKE)):
        for begin, finish in strokes:
            canvas.line([*map(float, begin), *map(float, finish)], fill=colour, width=width)
    canvas.text(
        _letter_at(line, scale),
        letter,
        fill=STROKE,
        font=font(22),
        anchor="mm",
        stroke_width=3,
        stroke_fill=HALO,
    )


def _stroke(line: Line, scale: Scale) -> tuple[Point, Point, Point]:
    """Give a line's ends and its direction, of length 1, in the picture."""
    start, end = (np.array(scale.point(*point)) for point in line)
    along = end - start
    return start, end, along / (float(np.hypot(*along)) or 1.0)


def _letter_at(line: Line, scale: Scale) -> tuple[float, float]:
    """Place a line's letter beyond its end, inside the picture."""
    _, end, along = _stroke(line, scale)
    room = (scale.width - LETTER_ROOM, scale.height - LETTER_ROOM)
    x, y = np.clip(end + along * 14, LETTER_ROOM, np.maximum(room, LETTER_ROOM))
    return float(x), float(y)


def _draw_boxes(canvas: ImageDraw.ImageDraw, marks: list[Mark], scale: Scale) -> None:
    for mark in marks:
        for box in mark.finding.boxes:
            left, top, right, bottom = _area(box, scale)
            canvas.rectangle((left - 2, top - 2, right + 2, bottom + 2), outline=HALO, width=5)
            canvas.rectangle((left, top, right, bottom), outline=mark.colour, width=2)


def _draw_names(
    canvas: ImageDraw.ImageDraw, marks: list[Mark], lines: Iterable[Line], scale: Scale
) -> None:
    """Name what is drawn, with the probability, on dark plates that neither cross nor cover lines.

    A contour is named when it is not the only mark: colours alone would be lost on
    a grey display.
    """
    named = list(_named(marks, scale))
    sizes = [_size(text) for _, text, _ in named]
    areas = [area for area, _, _ in named]
    places = place_labels(
        areas, sizes, (scale.width, scale.height), [_room(line, scale) for line in lines]
    )
    for (left, top, right, bottom), (_, text, colour) in zip(places, named, strict=True):
        canvas.rectangle((left, top, right, bottom), fill=HALO)
        at = (left + LABEL_EDGE, (top + bottom) / 2)
        canvas.text(at, text, fill=colour, font=font(LABEL_SIZE), anchor="lm")


def _named(marks: list[Mark], scale: Scale) -> Iterator[tuple[Area, str, RGB]]:
    """Give each name with its colour and the area that it belongs to."""
    several = sum(bool(mark.finding.boxes) or region_of(mark.finding) is not None for mark in marks)
    for mark in marks:
        region = region_of(mark.finding)
        name = f"{mark.finding.code.meaning} {probability(mark.finding)}"
        for box in mark.finding.boxes:
            yield _area(box, scale), legible(name), mark.colour
        if region is not None and several > 1 and not mark.finding.boxes:
            yield _bounds(region, scale), legible(name), mark.colour


def _bounds(region: NDArray[np.bool_], scale: Scale) -> Area:
    rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    left, top = scale.point(rows[0], columns[0])
    right, bottom = scale.point(rows[-1] + 1, columns[-1] + 1)
    return left, top, right, bottom


def _room(line: Line, scale: Scale) -> Area:
    """Give the area that a line takes with its letter."""
    start, end, _ = _stroke(line, scale)
    points = np.array([start, end, _letter_at(line, scale)])
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    return left - LETTER_ROOM, top - LETTER_ROOM, right + LETTER_ROOM, bottom + LETTER_ROOM


def _area(box: Box, scale: Scale) -> Area:
    left, top = scale.point(box.y, box.x)
    right, bottom = scale.point(box.y + box.height, box.x + box.width)
    return left, top, right, bottom


def _size(text: str) -> tuple[float, float]:
    """Give width and height of a name's plate."""
    return font(LABEL_SIZE).getlength(text) + 2 * LABEL_EDGE, LABEL_SIZE + 2 * LABEL_EDGE
