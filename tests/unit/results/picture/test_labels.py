"""Names in the picture: legible, apart from lines, enough without colours."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from dicom_node.domain import codes
from dicom_node.domain.findings import Box, Findings, Segment
from dicom_node.results.colours import CONTOURS
from dicom_node.results.picture.frame import MARGIN
from dicom_node.results.picture.picture import (
    HALO,
    LONGEST,
    Area,
    draw_picture,
    place_labels,
    scale_for,
)
from tests.support.samples import SHAPE, findings, radiograph

SCALE = scale_for(SHAPE)


def picture(*known: Findings) -> NDArray[np.uint8]:
    image = np.asarray(draw_picture(radiograph(), known))
    return image[MARGIN : MARGIN + SCALE.height, MARGIN : MARGIN + SCALE.width]


def plates(image: NDArray[np.uint8]) -> int:
    """Count blocks of 4 x 4 black pixels: the film has none, halos are thinner."""
    black = (image == HALO).all(axis=2)
    return int(ndimage.binary_erosion(black, np.ones((4, 4))).sum())


def two_regions() -> tuple[Findings, ...]:
    """A pneumothorax and, below it, a pneumonia, each with its region."""
    air = findings()[0]
    mask = np.zeros(SHAPE, np.bool_)
    mask[350:450, 100:200] = True
    other = replace(
        air.findings[0], code=codes.PNEUMONIA, segment=Segment(mask, "P"), measurements=()
    )
    return air, replace(air, findings=(other,))


def boxed(probability: float = 0.6, score: float = 0.9) -> Findings:
    """One mass in a box."""
    mass = replace(
        findings()[0].findings[0],
        code=codes.MASS,
        probability=probability,
        segment=None,
        measurements=(),
        boxes=(Box(100, 200, 150, 120, score),),
    )
    return replace(findings()[0], findings=(mass,))


def test_contours_are_told_apart_by_name_on_a_grey_display() -> None:
    both = two_regions()
    grey = [np.dot(colour, (0.299, 0.587, 0.114)) for colour in CONTOURS[:2]]
    assert abs(grey[0] - grey[1]) < 12  # the reason: as greys these colours are one
    assert plates(picture(both[0])) < 30  # a single mark is the one that the words tell of
    assert plates(picture(*both)) > 1000
    changed = replace(both[1].findings[0], code=codes.MASS)
    renamed = picture(both[0], replace(both[1], findings=(changed,)))
    assert (renamed != picture(*both)).any(), "the name is drawn"


def test_a_box_is_labelled_with_the_probability_and_not_with_its_rank() -> None:
    assert (picture(boxed(score=0.11)) == picture(boxed())).all()
    assert (picture(boxed(probability=0.99)) != picture(boxed())).any()


@pytest.mark.parametrize("colour", CONTOURS)
def test_names_stand_out_from_their_plates(colour: tuple[int, int, int]) -> None:
    """Contrast as WCAG 2.1 has it (1.4.3); it needs no colour to be seen."""
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in (channel / 255 for channel in colour)
    ]
    assert (float(np.dot(linear, (0.2126, 0.7152, 0.0722))) + 0.05) / 0.05 > 4.5


def test_a_name_keeps_off_lines() -> None:
    box: Area = (300.0, 300.0, 500.0, 500.0)
    line: Area = (380.0, 200.0, 400.0, 320.0)
    (free,) = place_labels([box], [(190.0, 22.0)], (LONGEST, LONGEST))
    (kept,) = place_labels([box], [(190.0, 22.0)], (LONGEST, LONGEST), [line])
    assert free[3] < box[1]
    assert kept[1] > box[3]
    everywhere: Area = (0.0, 0.0, float(LONGEST), float(LONGEST))
    (covered,) = place_labels([box], [(190.0, 22.0)], (LONGEST, LONGEST), [everywhere])
    assert covered == free
