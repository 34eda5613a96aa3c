"""The concepts and words that this task reports with."""

from dicom_node.domain.codes import (
    CARDIAC_DIAMETER,
    CARDIOMEGALY,
    CARDIOTHORACIC_RATIO,
    HEART,
    LEFT_LUNG_AREA,
    MILLIMETRE,
    NO_UNITS,
    PIXELS,
    RIGHT_LUNG_AREA,
    SQUARE_MILLIMETRE,
    THORACIC_DIAMETER,
)
from dicom_node.domain.findings import CodedConcept, Measurement

Line = tuple[tuple[float, float], tuple[float, float]]

CODE = CARDIOMEGALY
SITE = HEART
RATIO_NAME = "cardiothoracic ratio"
HEART_NAME = "transverse diameter of the heart"
THORAX_NAME = "inner diameter of the thorax"
RIGHT_NAME = "area of the right lung"
LEFT_NAME = "area of the left lung"
LARGE_RATIO = 0.5
"""A heart wider than half the thorax counts as large on a PA film of an adult."""

POINT = "ratio_above_half"
NOT_PA = "not a PA view: the cardiothoracic ratio is measured but not judged"
NO_OUTLINE = "lungs and heart cannot be outlined"


def ratio(value: float, heart: Line) -> Measurement:
    """State the ratio, shown by the heart's line."""
    return Measurement(CARDIOTHORACIC_RATIO, value, NO_UNITS, RATIO_NAME, None, heart)


def widths(heart: float, thorax: float, lines: tuple[Line, Line], mm: bool) -> list[Measurement]:
    """State the two diameters, in mm where the spacing is known."""
    unit = MILLIMETRE if mm else PIXELS
    return [
        Measurement(CARDIAC_DIAMETER, heart, unit, HEART_NAME, None, lines[0]),
        Measurement(THORACIC_DIAMETER, thorax, unit, THORAX_NAME, None, lines[1]),
    ]


def areas(right: float, left: float) -> list[Measurement]:
    """State the lungs' areas on the image, mm2."""
    named: list[tuple[CodedConcept, float, str]] = [
        (RIGHT_LUNG_AREA, right, RIGHT_NAME),
        (LEFT_LUNG_AREA, left, LEFT_NAME),
    ]
    return [Measurement(code, value, SQUARE_MILLIMETRE, name) for code, value, name in named]
