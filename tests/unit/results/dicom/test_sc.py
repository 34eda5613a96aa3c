from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset

from dicom_node.domain import codes
from dicom_node.domain.findings import Box, Finding, Findings, Measurement, Side
from dicom_node.domain.study import Orientation, Radiograph
from dicom_node.results.colours import CONTOURS, cielab
from dicom_node.results.dicom import sc
from dicom_node.results.picture import panel, typeface
from dicom_node.results.picture.frame import MARGIN, opposite
from dicom_node.results.picture.picture import LONGEST, draw_picture, marks_of, scale_for

Built = Callable[..., Dataset]
Make = Callable[..., Findings]
MakeRadiograph = Callable[..., Radiograph]
MADE = datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)


def drawn_mask(findings: Findings) -> NDArray[np.bool_]:
    segment = findings.findings[0].segment
    assert segment is not None
    return segment.mask


def inner(image: Image.Image, radiograph: Radiograph) -> NDArray[np.uint8]:
    """Cut the picture out of its margin."""
    scale = scale_for(radiograph.pixels.shape)
    pixels = np.asarray(image)
    return pixels[MARGIN : MARGIN + scale.height, MARGIN : MARGIN + scale.width]


@pytest.mark.parametrize(
    "shape", [(2500, 2048), (300, 401), (1024, 1024), (513, 2401), (4300, 900)]
)
def test_picture_keeps_its_aspect_and_its_order(
    shape: tuple[int, int], source: Built, radiograph: MakeRadiograph, negative: Findings
) -> None:
    image = radiograph(source(), shape)
    ramp = np.linspace(0, 1, shape[1], dtype=np.float32)[None, :] * np.ones((shape[0], 1))
    ramp[: shape[0] // 2] /= 2
    image = replace(image, pixels=ramp.astype(np.float32))
    shown = inner(draw_picture(image, (negative,)), image)
    assert max(shown.shape[:2]) == LONGEST
    assert abs(shown.shape[1] / shown.shape[0] / (shape[1] / shape[0]) - 1) < 0.01
    height, width, _ = shown.shape
    # stored order: dark left, bright right, the upper half at half the brightness
    assert shown[height - 9, 9].max() < 15
    assert shown[height - 9, width - 9].min() > 240
    assert abs(int(shown[9, width - 9, 0]) - 127) < 6


def test_grey_is_what_a_viewer_shows(
    source: Built, radiograph: MakeRadiograph, negative: Findings
) -> None:
    image = radiograph(source(PhotometricInterpretation="MONOCHROME1"))
    # a radiograph's pixels are ready to show, whatever the source stores: never inverted again
    image = replace(image, pixels=np.full((1024, 1024), 0.25, np.float32))
    shown = inner(draw_picture(image, (negative,)), image)
    assert np.unique(shown).tolist() == [64]


@pytest.mark.parametrize("shape", [(1024, 1024), (2048, 1700), (400, 371)])
def test_only_the_contour_touches_the_radiograph(
    shape: tuple[int, int], source: Built, radiograph: MakeRadiograph, positive: Make
) -> None:
    image = radiograph(source(), shape)
    findings = positive(shape, measurements=())
    plain = inner(draw_picture(image, (positive(shape, measurements=(), segment=None),)), image)
    shown = inner(draw_picture(image, (findings,)), image)
    touched = (plain != shown).any(axis=2)
    assert touched.any()
    mask = drawn_mask(findings)
    factor = scale_for(shape).factor
    rows, columns = np.nonzero(touched)
    at = (
        np.minimum(((rows + 0.5) / factor).astype(int), shape[0] - 1),
        np.minimum(((columns + 0.5) / factor).astype(int), shape[1] - 1),
    )
    # around the region: nothing inside it but its outermost pixels, nothing far from it
    near = int(np.ceil(7 / factor)) + 2
    top, bottom = np.flatnonzero(mask.any(axis=1))[[0, -1]]
    left, right = np.flatnonzero(mask.any(axis=0))[[0, -1]]
    assert at[0].min() >= top - near
    assert at[0].max() <= bottom + near
    assert at[1].min() >= left - near
    assert at[1].max() <= right + near
    assert mask[at].mean() < 0.05
    orange = (shown == CONTOURS[0]).all(axis=2)
    assert orange.sum() > 300


def test_line_box_and_letters_are_drawn_where_they_belong(
    source: Built, radiograph: MakeRadiograph, positive: Make
) -> None:
    shape = (1024, 1024)
    image = replace(radiograph(source(), shape), pixels=np.full(shape, 0.4, np.float32))
    (finding,) = positive(shape, segment=None, boxes=(Box(600, 700, 100, 50, 0.8),)).findings
    shown = inner(draw_picture(image, (Findings(positive().algorithm, (finding,)),)), image)
    line = finding.measurements[1].line
    assert line is not None
    (row, start), (_, end) = line
    assert (shown[int(row), int((start + end) / 2)] == 255).all()
    assert (shown[700:751, 600] == CONTOURS[0]).all()
    assert (shown[700:751, 700] == CONTOURS[0]).all()
    assert (shown[900:, :500] == 102).all()


@pytest.mark.parametrize(
    ("orientation", "left", "top"),
    [
        (Orientation("L", "F"), "R", "H"),
        (Orientation("R", "F"), "L", "H"),
        (Orientation("P", "F"), "A", "H"),
        (Orientation("F", "R"), "H", "L"),
        (Orientation("LP", "FR"), "RA", "HL"),
    ],
)
def test_edges_are_named_from_the_orientation(
    orientation: Orientation, left: str, top: str
) -> None:
    assert (opposite(orientation.row), opposite(orientation.column)) == (left, top)


def test_margin_shows_letters_only_with_an_orientation(
    source: Built, radiograph: MakeRadiograph, negative: Findings
) -> None:
    header = source()
    margins = [
        np.asarray(draw_picture(radiograph(header, orientation=one), (negative,)))[:, : MARGIN - 1]
        for one in (None, Orientation("L", "F"), Orientation("R", "F"))
    ]
    assert len(np.unique(margins[0].reshape(-1, 3), axis=0)) == 1
    assert (margins[1] > 200).any()
    assert (margins[1] != margins[2]).any()


def lines_of(radiograph: Radiograph, *findings: Findings) -> list[str]:
    return [line.text for line in panel.panel_lines(radiograph, findings, "Made then")]


def test_words_beside_the_picture(
    source: Built, radiograph: MakeRadiograph, positive: Make, negative: Findings
) -> None:
    image = radiograph(source())
    said = lines_of(image, positive())
    assert said[0] == "URGENT"
    for expected in (
        "Pneumothorax: PRESENT",
        "Side: right",
        "Probability 0.93 (threshold 0.42, balanced)",
        "Area 3373.9 mm2",
        "a: Maximal interpleural distance 47.8 mm",
        "AP view. Preliminary result of an algorithm, not verified by a physician.",
        "pneumothorax 1.2.0, weights abababababab",
    ):
        assert expected in said
    calm = lines_of(image, negative)
    assert calm[0] == "No finding detected"
    assert "Pneumothorax: not detected" in calm
    assert not any("Side" in one for one in calm)
    routine = positive(urgent=False, side=Side.UNDETERMINED)
    unknown = lines_of(radiograph(source(), orientation=None), routine)
    assert unknown[0] == "FINDING"
    assert not any(one.startswith("Side:") for one in unknown)  # said once, for all findings
    assert "Side not known: the image has no orientation" in unknown
    assert "Side: undetermined" in lines_of(image, routine)


def test_many_absent_findings_share_a_paragraph(
    source: Built, radiograph: MakeRadiograph, positive: Make, negative: Findings
) -> None:
    image = radiograph(source())
    unsaid = negative.findings[0]
    measured = replace(unsaid, measurements=positive().findings[0].measurements)
    many = replace(negative, findings=(unsaid, unsaid, measured, unsaid))
    said = lines_of(image, many, positive(uncertainty=0.07))
    (together,) = (one for one in said if one.startswith("Not detected"))
    assert together.count("pneumothorax 0.03 (<0.42)") == 3
    assert said.count("Pneumothorax: not detected") == 1  # the one with a measured line
    assert "The models' probabilities deviate by 0.07" in said


def test_colours_and_letters_agree_in_picture_and_panel(positive: Make, negative: Findings) -> None:
    marks = marks_of((negative, positive(), positive(segment=None, measurements=())))
    assert [mark.letters for mark in marks] == [(), ("", "a"), ()]
    assert marks[1].colour == CONTOURS[0]


def test_words_are_spelt_in_the_letters_of_the_face() -> None:
    assert typeface.legible("größer als ≥ 2 mm² – 山") == "grosser als >= 2 mm2 - ?"
    missing = bytes(typeface.font(30).getmask("\uffff"))
    for letter in map(chr, range(33, 127)):
        assert bytes(typeface.font(30).getmask(letter)) != missing


def test_measurements_along_one_line_share_its_letter(positive: Make) -> None:
    first = positive().findings[0].measurements[1]
    other = replace(first, line=((1.0, 2.0), (3.0, 4.0)))
    (mark,) = marks_of((positive(measurements=(first, other, first)),))
    assert mark.letters == ("a", "b", "a")


def test_much_to_say_still_fits_and_keeps_the_notice(
    source: Built, radiograph: MakeRadiograph, positive: Make
) -> None:
    image = radiograph(source(), (1024, 1024))
    absent = replace(positive(segment=None, measurements=()).findings[0], size_class="word " * 20)
    many = Findings(
        positive().algorithm, (absent,) * 12, notes=tuple(f"note {n}" for n in range(9))
    )
    for findings in ((many,), (positive((1024, 1024)),)):
        drawing = np.asarray(panel.panel(image, findings, "Made then", 400, 1104))
        assert drawing.shape == (1104, 400, 3)
        foot = drawing[1104 - 50 :].reshape(-1, 3)
        assert (foot == panel.NOTICE).all(axis=1).any()


def test_object_is_marked_as_a_derived_drawing(built: Built, positive: Make) -> None:
    ds = built("sc", (positive(),))
    assert (ds.PhotometricInterpretation, ds.ConversionType) == ("RGB", "WSD")
    assert (ds.BurnedInAnnotation, ds.LossyImageCompression) == ("YES", "00")
    assert list(ds.ImageType) == ["DERIVED", "SECONDARY"]
    assert ds.SourceImageSequence[0].ReferencedSOPInstanceUID == "1.2.826.0.1.3680043.8.498.1"
    assert "NOT FOR DIAGNOSTIC USE" in ds.DerivationDescription
    assert list(ds.PatientOrientation) == ["L", "F"]
    assert "PixelSpacing" not in ds


def test_pixels_of_the_object_are_the_drawing(
    built: Built, source: Built, radiograph: MakeRadiograph, positive: Make, context: object
) -> None:
    ds = built("sc", (positive(),))
    made = datetime.fromtimestamp(1_700_000_000.25, UTC)
    expected = sc.overlay(radiograph(source()), (positive(),), made)
    assert np.array_equal(ds.pixel_array, np.asarray(expected))


def test_wide_pictures_have_the_words_below(
    source: Built, radiograph: MakeRadiograph, positive: Make
) -> None:
    wide = sc.overlay(radiograph(source(), (300, 900)), (positive((300, 900)),), MADE)
    tall = sc.overlay(radiograph(source(), (900, 600)), (positive((900, 600)),), MADE)
    assert wide.width == LONGEST + 2 * MARGIN
    assert tall.height == LONGEST + 2 * MARGIN
    assert tall.width == 683 + 2 * MARGIN + panel.WIDTHS[0]


def test_no_overlay_when_nothing_was_read(built: Built, refused: Findings) -> None:
    assert built("sc", (refused,)) is None
    assert built("sc", (refused,), lambda header: None) is None


def test_absent_finding_with_a_ratio_shows_it(
    source: Built, radiograph: MakeRadiograph, negative: Findings
) -> None:
    ratio = Measurement(codes.CARDIOTHORACIC_RATIO, 0.4567, codes.NO_UNITS, "cardiothoracic ratio")
    finding: Finding = replace(negative.findings[0], code=codes.CARDIOMEGALY, measurements=(ratio,))
    said = lines_of(radiograph(source()), replace(negative, findings=(finding,)))
    assert "Cardiothoracic ratio 0.457" in said


def test_colour_values_are_those_of_the_standard_s_encoding() -> None:
    assert np.allclose(cielab((255, 255, 255)), [65535, 32896, 32896], atol=3)
    assert cielab((0, 0, 0)) == [0, 32896, 32896]
    lightness, a, b = cielab((255, 0, 0))  # sRGB red is L* 54.3, a* 80.8, b* 69.9 under D50
    assert abs(lightness * 100 / 65535 - 54.3) < 0.2
    assert abs(a * 255 / 65535 - 128 - 80.8) < 0.3
    assert abs(b * 255 / 65535 - 128 - 69.9) < 0.3
