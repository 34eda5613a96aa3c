"""The picture's margin and the words in it, at every size of radiograph."""

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from dicom_node.domain import codes
from dicom_node.domain.findings import Box, Findings, Side
from dicom_node.domain.study import Radiograph, Spacing
from dicom_node.results.picture import panel
from dicom_node.results.picture.frame import LARGEST_SHARE, LETTER, MARGIN, bar
from dicom_node.results.picture.picture import Area, draw_picture, place_labels, scale_for

SIZES = [(400, 400), (399, 401), (4300, 3520), (1603, 701), (801, 1201), (1024, 1024)]
Make = Callable[..., Findings]
Sources = Callable[..., Dataset]
Radiographs = Callable[..., Radiograph]


def lower_margin(image: Radiograph, findings: Findings) -> NDArray[np.uint8]:
    """Cut out the left half of the strip below the picture, without the letter's place."""
    shown = np.asarray(draw_picture(image, (findings,)))
    return shown[-MARGIN:, : shown.shape[1] // 2 - 20]


@pytest.mark.parametrize("shape", SIZES)
def test_the_bar_is_as_long_as_it_says(
    shape: tuple[int, int], source: Sources, radiograph: Radiographs, negative: Findings
) -> None:
    spacing = Spacing(0.143, 0.143)
    image = radiograph(source(), shape, spacing=spacing)
    scale = scale_for(shape)
    made = bar(spacing, scale.factor, scale.width)
    assert made is not None
    length_mm = float(made.words.split()[0])
    assert made.pixels / scale.width == pytest.approx(length_mm / (shape[1] * 0.143), rel=0.01)
    lit = (lower_margin(image, negative) == LETTER).all(axis=2)
    (row,) = {int(one) for one in np.flatnonzero(lit[:, MARGIN + 3 : MARGIN + 9].all(axis=1))[:1]}
    end = MARGIN + int(np.flatnonzero(~lit[row, MARGIN:])[0])
    assert end - MARGIN == pytest.approx(made.pixels, abs=3)


def test_the_bar_says_where_it_holds_and_stays_away_without_a_spacing(
    source: Sources, radiograph: Radiographs, negative: Findings
) -> None:
    at_detector = bar(Spacing(0.2, 0.2, "detector"), 0.5, 1024)
    in_patient = bar(Spacing(0.2, 0.2), 0.5, 1024)
    assert at_detector is not None
    assert in_patient is not None
    assert at_detector.words == f"{in_patient.words} at the detector"
    assert in_patient.pixels <= LARGEST_SHARE * 1024
    assert bar(Spacing(5.0, 5.0), 3.0, 60) is None
    bare = lower_margin(radiograph(source(), spacing=None, orientation=None), negative)
    assert len(np.unique(bare.reshape(-1, 3), axis=0)) == 1


@pytest.mark.parametrize("shape", SIZES)
def test_outside_the_annotations_the_radiograph_is_untouched(
    shape: tuple[int, int], source: Sources, radiograph: Radiographs, positive: Make
) -> None:
    image = radiograph(source(), shape)
    rows, columns = shape
    finding = positive(shape).findings[0]
    box = Box(0.1 * columns, 0.1 * rows, 0.3 * columns, 0.3 * rows, 0.8)
    marked = Findings(positive().algorithm, (replace(finding, boxes=(box,)),))
    bare = Findings(
        positive().algorithm, (replace(finding, segment=None, measurements=(), boxes=()),)
    )
    differs = (
        np.asarray(draw_picture(image, (marked,))) != np.asarray(draw_picture(image, (bare,)))
    ).any(axis=2)
    scale = scale_for(shape)
    inside = differs[MARGIN:-MARGIN, MARGIN:-MARGIN]
    assert inside.shape == (scale.height, scale.width)
    assert inside.any()
    assert not inside[scale.height * 6 // 10 :].any()
    assert not inside[:, scale.width * 9 // 10 :].any()
    inside[:] = False
    assert not differs.any(), "annotations stay in the picture"


def overlaps(one: Area, other: Area) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def test_no_label_covers_another_and_none_leaves_the_picture() -> None:
    crowd: list[Area] = [(300.0 + 4 * n, 300.0 + 3 * n, 420.0, 500.0) for n in range(9)]
    corners: list[Area] = [
        (0, 0, 30, 30),
        (990, 0, 1023, 40),
        (0, 990, 20, 1023),
        (990, 990, 1023, 1023),
    ]
    boxes = [*crowd, *corners]
    places = place_labels(boxes, [(190.0, 22.0)] * len(boxes), (1024, 1024))
    assert not any(overlaps(one, other) for one, other in combinations(places, 2))
    for left, top, right, bottom in places:
        assert 0 <= left < right <= 1024
        assert 0 <= top < bottom <= 1024
        assert (right - left, bottom - top) == pytest.approx((190, 22))


def test_a_panel_grows_before_its_words_shrink(
    source: Sources, radiograph: Radiographs, positive: Make
) -> None:
    image = radiograph(source())
    one = panel.draw_panel(image, (positive(),), "Made then", 1104)
    other = positive(code=codes.PNEUMONIA, side=Side.LEFT)
    many = panel.draw_panel(image, (positive(), *[other] * 5), "Made then", 1104)
    assert one.width == panel.WIDTHS[0]
    assert one.width < many.width <= panel.WIDTHS[-1]
    assert one.height == many.height == 1104


def test_where_a_length_holds_matters_more_than_a_long_bar() -> None:
    made = bar(Spacing(0.171, 0.171, "detector"), 1.0, 1024)
    narrow = bar(Spacing(0.171, 0.171, "detector"), 1.0, 340)
    assert made is not None
    assert narrow is not None
    assert (made.words, narrow.words) == ("20 mm at the detector", "10 mm")
