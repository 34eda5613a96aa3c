"""The concepts and words that this task reports with."""

from dicom_node.domain.codes import (
    AREA,
    DISTANCE,
    HEMITHORAX_SHARE,
    MAXIMUM,
    MILLIMETRE,
    PERCENT,
    PLEURA,
    PNEUMOTHORAX,
    SQUARE_MILLIMETRE,
)
from dicom_node.domain.findings import Measurement

Line = tuple[tuple[float, float], tuple[float, float]]

CODE = PNEUMOTHORAX
SITE = PLEURA
SEGMENT_LABEL = "Pneumothorax"

AREA_NAME = "area"
INTERPLEURAL_NAME = "maximal interpleural distance"
APEX_NAME = "apex-to-cupola distance"
SHARE_NAME = "share of the hemithorax"

# The same words as the node's own remarks on an image, so that none is said twice.
DETECTOR_PLANE = "distances in the detector plane"
NO_SPACING = "no pixel spacing: no measurements in mm"
AP_VIEW = "AP view"
OUTSIDE = "most of the marked region lies outside the rib cage as outlined: doubtful"
NO_ORIENTATION = "no patient orientation: the side is undetermined"


def area(square_mm: float) -> Measurement:
    """State the area of the pneumothorax on the image."""
    return Measurement(AREA, square_mm, SQUARE_MILLIMETRE, AREA_NAME)


def interpleural_distance(length_mm: float, line: Line) -> Measurement:
    """State the largest distance between the pleurae."""
    return Measurement(DISTANCE, length_mm, MILLIMETRE, INTERPLEURAL_NAME, MAXIMUM, line)


def apex_distance(length_mm: float, line: Line) -> Measurement:
    """State the distance from the lung's apex to the cupola."""
    return Measurement(DISTANCE, length_mm, MILLIMETRE, APEX_NAME, None, line)


def hemithorax_share(share: float) -> Measurement:
    """State the share of the hemithorax' area on the image, 0..1, in percent."""
    return Measurement(HEMITHORAX_SHARE, 100 * share, PERCENT, SHARE_NAME)
