from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from dicom_node.domain import codes
from dicom_node.domain.findings import Algorithm, Findings, Segment, Side
from dicom_node.domain.study import Orientation, Spacing
from dicom_node.results.dicom import seg

Built = Callable[..., Dataset]
Make = Callable[..., Findings]
SHAPES = [(401, 513), (257, 259), (300, 299), (64, 1031), (512, 512)]


def drawn_mask(findings: Findings) -> NDArray[np.bool_]:
    segment = findings.findings[0].segment
    assert segment is not None
    return segment.mask


@pytest.mark.parametrize("shape", SHAPES)
def test_mask_comes_back_pixel_by_pixel(
    shape: tuple[int, int], built: Built, radiograph: Callable[..., object], positive: Make
) -> None:
    findings = positive(shape)
    ds = built("seg", (findings,), lambda header: radiograph(header, shape))
    # pydicom unpacks the bits: another implementation than the one that packed them
    assert np.array_equal(ds.pixel_array.astype(bool), drawn_mask(findings))
    assert (ds.Rows, ds.Columns) == shape
    bits = shape[0] * shape[1]
    assert len(ds.PixelData) == (bits + 15) // 16 * 2
    spare = np.unpackbits(np.frombuffer(ds.PixelData, np.uint8), bitorder="little")[bits:]
    assert not spare.any()


def test_a_single_known_pixel_sets_a_known_bit() -> None:
    mask = np.zeros((3, 5), bool)
    mask[1, 3] = True  # pixel number 8: the lowest bit of the second byte
    assert seg.pack_bits([mask]) == b"\x00\x01"
    # the second frame follows without a gap: its pixel 8 is bit 23
    assert seg.pack_bits([np.zeros((3, 5), bool), mask]) == b"\x00\x00\x80\x00"


def test_segment_says_what_where_and_who(built: Built, positive: Make) -> None:
    ds = built("seg", (positive(),))
    (segment,) = ds.SegmentSequence
    kind = segment.SegmentedPropertyTypeCodeSequence[0]
    region = segment.AnatomicRegionSequence[0]
    algorithm = segment.SegmentationAlgorithmIdentificationSequence[0]
    assert kind.CodeValue == "36118008"
    assert kind.SegmentedPropertyTypeModifierCodeSequence[0].CodeValue == "24028007"
    assert region.CodeValue == "3120008"
    assert region.AnatomicRegionModifierSequence[0].CodeMeaning == "Right"
    assert segment.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "49755003"
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("pneumothorax", "1.2.0")
    assert "ab" * 32 in algorithm.AlgorithmParameters
    assert segment.SegmentAlgorithmType == "AUTOMATIC"


def test_undetermined_side_is_left_out(built: Built, positive: Make) -> None:
    ds = built("seg", (positive(side=Side.UNDETERMINED),))
    (segment,) = ds.SegmentSequence
    kind = segment.SegmentedPropertyTypeCodeSequence[0]
    assert "SegmentedPropertyTypeModifierCodeSequence" not in kind
    assert "AnatomicRegionModifierSequence" not in segment.AnatomicRegionSequence[0]


def test_refers_to_its_source(built: Built, positive: Make) -> None:
    ds = built("seg", (positive(),))
    derived = ds.PerFrameFunctionalGroupsSequence[0].DerivationImageSequence[0]
    image = derived.SourceImageSequence[0]
    assert image.ReferencedSOPInstanceUID == "1.2.826.0.1.3680043.8.498.1"
    assert image.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"
    assert derived.DerivationCodeSequence[0].CodeValue == "113076"
    series = ds.ReferencedSeriesSequence[0]
    assert series.SeriesInstanceUID == "1.2.826.0.1.3.1"
    instance = series.ReferencedInstanceSequence[0]
    assert instance.ReferencedSOPInstanceUID == "1.2.826.0.1.3680043.8.498.1"
    assert "FrameOfReferenceUID" not in ds


@pytest.mark.parametrize(
    ("spacing", "expected"),
    [
        (Spacing(0.143, 0.139), ["0.143", "0.139"]),
        (Spacing(0.2 / 1.1, 0.2 / 1.1, "patient"), ["0.1818181818", "0.1818181818"]),
        (None, None),
    ],
)
def test_pixel_measures_are_always_there_and_never_invented(
    spacing: Spacing | None,
    expected: list[str] | None,
    built: Built,
    radiograph: Callable[..., object],
    positive: Make,
) -> None:
    ds = built("seg", (positive(),), lambda header: radiograph(header, spacing=spacing))
    shared = ds.SharedFunctionalGroupsSequence[0]
    measures = shared.PixelMeasuresSequence[0]
    assert shared.PlaneOrientationSequence[0].ImageOrientationPatient == [1, 0, 0, 0, 1, 0]
    if expected is None:
        assert "PixelSpacing" not in measures
        assert measures.SpacingBetweenSlices == 1
    else:
        assert [str(one) for one in measures.PixelSpacing] == expected


def test_stored_order_and_orientation_are_the_source_s(
    built: Built, radiograph: Callable[..., object], positive: Make
) -> None:
    flipped = Orientation("R", "F")
    ds = built(
        "seg",
        (positive(),),
        lambda header: radiograph(header, orientation=flipped),
        PatientOrientation=["R", "F"],
    )
    assert list(ds.PatientOrientation) == ["R", "F"]
    mask = drawn_mask(positive())
    assert np.array_equal(ds.pixel_array.astype(bool), mask)


def test_pipelines_share_one_seg(built: Built, positive: Make, negative: Findings) -> None:
    effusion = Findings(
        Algorithm("effusion", "2.0", "cd" * 32),
        (positive(code=codes.PLEURAL_EFFUSION).findings[0],),
    )
    ds = built("seg", (positive(), negative, effusion))
    assert [one.SegmentNumber for one in ds.SegmentSequence] == [1, 2]
    assert [one.SegmentAlgorithmName for one in ds.SegmentSequence] == ["pneumothorax", "effusion"]
    assert len({one.TrackingUID for one in ds.SegmentSequence}) == 2
    assert (ds.NumberOfFrames, ds.SegmentsOverlap) == (2, "YES")
    assert np.array_equal(ds.pixel_array[0], ds.pixel_array[1])


def test_nothing_to_segment_gives_no_object(
    built: Built, positive: Make, negative: Findings, refused: Findings
) -> None:
    empty = positive(segment=Segment(np.zeros((401, 513), bool), "none"))
    assert built("seg", (negative,)) is None
    assert built("seg", (refused,), lambda header: None) is None
    assert built("seg", (empty,)) is None


def test_mask_of_another_size_is_an_error(built: Built, positive: Make) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        built("seg", (positive((400, 513)),))
