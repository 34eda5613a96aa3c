"""Presentation state and key object note."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from dicom_node.domain.findings import Box, Findings
from dicom_node.domain.study import Radiograph
from dicom_node.results.picture import outline

Built = Callable[..., Dataset]
Make = Callable[..., Findings]
Image = Callable[[Dataset], Radiograph | None]


def with_raw(image: Image, raw: dict[int, str]) -> Image:
    """Put DS values into the source as a file has them, unchecked."""

    def shown(ds: Dataset) -> Radiograph | None:
        made = image(ds)
        for tag, value in raw.items():
            content = value.encode()
            ds[tag] = RawDataElement(BaseTag(tag), "DS", len(content), content, 0, False, True)
        return made

    return shown


def drawn_mask(findings: Findings) -> NDArray[np.bool_]:
    segment = findings.findings[0].segment
    assert segment is not None
    return segment.mask


def filled(paths: list[list[tuple[int, int]]], shape: tuple[int, int]) -> np.ndarray:
    """Fill outlines by the even-odd rule: a pixel is in if its centre is."""
    inside = np.zeros(shape, bool)
    for path in paths:
        for (row, column), (next_row, _) in pairwise(path):
            for crossed in range(min(row, next_row), max(row, next_row)):
                inside[crossed, column:] ^= True
    return inside


@settings(max_examples=60, deadline=None)
@given(arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_outlines_enclose_exactly_the_region(mask: np.ndarray) -> None:
    paths = outline.outlines(mask)
    assert np.array_equal(filled(paths, mask.shape), mask)
    for path in paths:
        assert path[0] == path[-1]
        steps = [(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(path)]
        assert all((dr == 0) != (dc == 0) for dr, dc in steps)


def test_outline_of_a_rectangle_is_its_corners() -> None:
    mask = np.zeros((6, 8), bool)
    mask[2:4, 3:7] = True
    (path,) = outline.outlines(mask)
    assert len(path) == 5
    assert set(path) == {(2, 3), (2, 7), (4, 3), (4, 7)}


def test_a_long_outline_fits_its_attribute() -> None:
    # a comb: far more corners than a short FL value holds
    mask = np.zeros((20_000, 3), bool)
    mask[:, 0] = True
    mask[::2, 1] = True
    (path,) = outline.outlines(mask)
    assert len(path) <= outline.MOST_POINTS + 1
    assert path[0] == path[-1]


def test_state_outlines_the_region_on_its_image(built: Built, positive: Make) -> None:
    ds = built("gsps", (positive(),))
    (annotation,) = ds.GraphicAnnotationSequence
    region, line = annotation.GraphicObjectSequence
    points = np.array(region.GraphicData).reshape(-1, 2)
    assert region.NumberOfGraphicPoints == len(points)
    drawn = filled([[(int(r), int(c)) for c, r in points]], (401, 513))
    assert np.array_equal(drawn, drawn_mask(positive()))
    assert line.NumberOfGraphicPoints == 2
    reference = annotation.ReferencedImageSequence[0]
    assert reference.ReferencedSOPInstanceUID == "1.2.826.0.1.3680043.8.498.1"
    text = annotation.TextObjectSequence[0].UnformattedTextValue
    assert "pneumothorax suspected, right" in text
    assert "NOT FOR DIAGNOSTIC USE" in text
    area = ds.DisplayedAreaSelectionSequence[0]
    assert list(area.DisplayedAreaBottomRightHandCorner) == [513, 401]


def test_state_shows_boxes(built: Built, positive: Make) -> None:
    box = Box(10, 20, 30, 40, 0.9)
    ds = built("gsps", (positive(segment=None, measurements=(), boxes=(box,)),))
    (shape,) = ds.GraphicAnnotationSequence[0].GraphicObjectSequence
    assert list(shape.GraphicData) == [10, 20, 40, 20, 40, 60, 10, 60, 10, 20]


@pytest.mark.parametrize(
    ("changes", "shape", "window"),
    [
        ({}, "IDENTITY", None),
        ({"PhotometricInterpretation": "MONOCHROME1"}, "INVERSE", None),
        ({"WindowCenter": ["100", "50"], "WindowWidth": ["200", "99"]}, "IDENTITY", [100, 50]),
    ],
)
def test_state_keeps_the_image_s_look(
    changes: dict[str, object],
    shape: str,
    window: list[float] | None,
    built: Built,
    positive: Make,
) -> None:
    ds = built("gsps", (positive(),), RescaleSlope="2", RescaleIntercept="-5", **changes)
    assert ds.PresentationLUTShape == shape
    assert (ds.RescaleSlope, ds.RescaleIntercept) == (2, -5)
    if window is None:
        assert "SoftcopyVOILUTSequence" not in ds
    else:
        assert list(ds.SoftcopyVOILUTSequence[0].WindowCenter) == window


@pytest.mark.parametrize(
    "window",
    [
        # fo-dicom pull request 1757, grand-challenge issue 1374
        ("2048,5", "4096"),
        ("NORMAL", "4096"),
        ("-1.#IND00", "100"),
        ("[00400, 00400]", "[01600, 01600]"),
        ("nan", "100"),
        ("100", "inf"),
        ("100", "0"),
        ("100\\200", "50"),
        ("9" * 400, "100"),
    ],
)
def test_a_window_that_is_no_number_is_left_out(
    window: tuple[str, str], built: Built, positive: Make, radiograph: Image
) -> None:
    raw = {0x00281050: window[0], 0x00281051: window[1]}
    ds = built("gsps", (positive(),), image=with_raw(radiograph, raw))
    assert "SoftcopyVOILUTSequence" not in ds


@pytest.mark.parametrize("rescale", [("NaN", "1"), ("0", "x"), ("Infinity", "1")])
def test_a_rescale_that_is_no_number_is_left_out(
    rescale: tuple[str, str], built: Built, positive: Make, radiograph: Image
) -> None:
    raw = {0x00281052: rescale[0], 0x00281053: rescale[1]}
    ds = built("gsps", (positive(),), image=with_raw(radiograph, raw))
    assert "RescaleSlope" not in ds and "RescaleIntercept" not in ds


def test_state_takes_the_image_s_voi_table(built: Built, positive: Make) -> None:
    table = Dataset()
    table.add_new("LUTDescriptor", "US", [4, 0, 16])
    table.add_new("LUTData", "OW", b"\x00\x00\x01\x00\x02\x00\x03\x00")
    ds = built("gsps", (positive(),), VOILUTSequence=[table], WindowCenter="1", WindowWidth="2")
    (shown,) = ds.SoftcopyVOILUTSequence
    assert shown.VOILUTSequence[0].LUTData == table.LUTData
    assert "WindowCenter" not in shown


def test_key_object_points_at_the_image(
    built: Built, positive: Make, tree: Callable[..., list[Dataset]]
) -> None:
    ds = built("kos", (positive(),))
    assert ds.ConceptNameCodeSequence[0].CodeValue == "113000"
    assert (ds.Modality, ds.SOPClassUID) == ("KO", "1.2.840.10008.5.1.4.1.1.88.59")
    (image,) = tree(ds, "IMAGE")
    reference = image.ReferencedSOPSequence[0]
    assert reference.ReferencedSOPInstanceUID == "1.2.826.0.1.3680043.8.498.1"
    (said,) = tree(ds, "TEXT", "113012")
    assert said.TextValue.startswith("URGENT. AI: pneumothorax suspected, right")
    series = ds.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    assert series[0].SeriesInstanceUID == "1.2.826.0.1.3.1"


def test_nothing_present_gives_no_lines_and_no_note(
    built: Built, negative: Findings, refused: Findings
) -> None:
    for kind in ("gsps", "kos"):
        assert built(kind, (negative,)) is None
        assert built(kind, (refused,), lambda header: None) is None
