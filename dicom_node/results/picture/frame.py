"""The margin around the picture: directions of its edges, a scale bar."""

from dataclasses import dataclass
from itertools import product

from PIL import Image, ImageDraw

from dicom_node.domain.study import Orientation, Radiograph, Spacing
from dicom_node.results.colours import RGB
from dicom_node.results.picture.typeface import font

MARGIN = 40
BACKGROUND: RGB = (16, 18, 22)
LETTER: RGB = (235, 235, 235)
OPPOSITE = {"L": "R", "R": "L", "A": "P", "P": "A", "H": "F", "F": "H"}
LENGTHS_MM = (100, 50, 20, 10, 5, 2)
LARGEST_SHARE = 0.3
"""Of the picture's width, for the bar."""
TEXT_SIZE, GAP, TICK = 20, 8, 6
LETTER_ROOM = 24
"""Kept free on each side of the lower edge's letter, which stands in its middle."""


def add_frame(image: Image.Image, radiograph: Radiograph, factor: float) -> Image.Image:
    """Put a margin around the picture; `factor` is picture pixels per stored pixel.

    Directions need a PatientOrientation, millimetres a pixel spacing.
    """
    width, height = image.size
    canvas = Image.new("RGB", (width + 2 * MARGIN, height + 2 * MARGIN), BACKGROUND)
    canvas.paste(image, (MARGIN, MARGIN))
    draw = ImageDraw.Draw(canvas)
    if radiograph.orientation is not None:
        _draw_directions(draw, radiograph.orientation, width, height)
    if radiograph.spacing is not None:
        made = bar(radiograph.spacing, factor, width)
        if made is not None:
            _draw_bar(draw, made, height)
    return canvas


def opposite(direction: str) -> str:
    """Turn a direction of PatientOrientation around, for example PL to AR."""
    return "".join(OPPOSITE.get(letter, letter) for letter in direction)


def _draw_directions(
    draw: ImageDraw.ImageDraw, orientation: Orientation, width: int, height: int
) -> None:
    half = MARGIN / 2
    places = {
        (half, MARGIN + height / 2): opposite(orientation.row),
        (MARGIN * 1.5 + width, MARGIN + height / 2): orientation.row,
        (MARGIN + width / 2, half): opposite(orientation.column),
        (MARGIN + width / 2, MARGIN * 1.5 + height): orientation.column,
    }
    for place, letters in places.items():
        size = 34 if letters[:1] in ("L", "R") else 22
        draw.text(place, letters[:2], fill=LETTER, font=font(size), anchor="mm")


@dataclass(frozen=True, slots=True)
class Bar:
    """A length in the picture, in its pixels, and what it stands for."""

    pixels: float
    words: str


def bar(spacing: Spacing, factor: float, width: int) -> Bar | None:
    """Choose the longest scale bar that leaves room for all its words, else for the length.

    None where even the shortest has none.
    """
    # without a magnification, sizes in the patient are smaller than on the detector
    places = (" at the detector", "") if spacing.plane == "detector" else ("",)
    for place, length in product(places, LENGTHS_MM):
        made = Bar(length / spacing.column_mm * factor, f"{length} mm{place}")
        needed = made.pixels + GAP + font(TEXT_SIZE).getlength(made.words)
        if made.pixels <= LARGEST_SHARE * width and needed <= width / 2 - LETTER_ROOM:
            return made
    return None


def _draw_bar(draw: ImageDraw.ImageDraw, made: Bar, height: int) -> None:
    """Draw the bar in the lower margin, at the picture's left edge."""
    left, y = MARGIN, MARGIN * 1.5 + height
    right = left + made.pixels
    draw.line((left, y, right, y), fill=LETTER, width=3)
    for x in (left, right):
        draw.line((x, y - TICK, x, y + TICK), fill=LETTER, width=3)
    draw.text((right + GAP, y), made.words, fill=LETTER, font=font(TEXT_SIZE), anchor="lm")
