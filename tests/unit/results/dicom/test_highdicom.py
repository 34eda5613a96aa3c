"""Results as highdicom's own readers find them."""

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from highdicom import imread
from highdicom.seg import Segmentation
from highdicom.sr import CodedConcept as CodeItem
from highdicom.sr import srread
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from dicom_node.domain import codes
from dicom_node.domain.findings import Algorithm, Findings, Segment, Side
from dicom_node.domain.study import Radiograph, SRClass
from dicom_node.formats.dicom.values import coded
from dicom_node.results.common import ExaminedImage, ReportContext, tracking
from dicom_node.results.dicom import seg, sr

Make = Callable[..., Findings]
Bytes = Callable[..., bytes]
SHAPE = (401, 513)
SOURCE_UIDS = ("1.2.826.0.1.3680043.8.498.2", "1.2.826.0.1.3.1", "1.2.826.0.1.3680043.8.498.1")


@pytest.fixture
def report(
    source: Callable[..., Dataset], radiograph: Callable[..., Radiograph], context: ReportContext
) -> Callable[..., Any]:
    """Build a report and give the content that highdicom finds in it."""

    def read(*findings: Findings, sr_class: SRClass = "comprehensive") -> Any:  # noqa: ANN401 - highdicom has no types here
        ds = source()
        made = sr.build(
            ExaminedImage(ds, radiograph(ds), findings), replace(context, sr_class=sr_class)
        )
        return srread(BytesIO(made.content)).content

    return read


@pytest.fixture
def segmentation(
    source: Callable[..., Dataset], radiograph: Callable[..., Radiograph], context: ReportContext
) -> Bytes:
    """Build a segmentation."""

    def build(*findings: Findings) -> bytes:
        ds = source()
        made = seg.build(ExaminedImage(ds, radiograph(ds), findings), context)
        assert made is not None
        return made.content

    return build


def two_masks(
    positive: Make, shape: tuple[int, int] = SHAPE
) -> tuple[Findings, Findings, NDArray[np.bool_]]:
    """Give the findings of two pipelines whose regions differ, and the masks."""
    first = positive(shape)
    segment = first.findings[0].segment
    assert segment is not None
    mask = segment.mask
    other = positive(
        shape,
        code=codes.PLEURAL_EFFUSION,
        side=Side.LEFT,
        segment=Segment(mask[::-1, ::-1], "Effusion"),
    )
    second = replace(other, algorithm=Algorithm("effusion", "2.0", "cd" * 32))
    return first, second, np.stack([mask, mask[::-1, ::-1]])


def values(group: Any) -> list[tuple[str, float, str]]:  # noqa: ANN401 - highdicom has no types here
    return [(one.name.meaning, one.value, one.unit.value) for one in group.get_measurements()]


@pytest.mark.parametrize("sr_class", ["comprehensive", "comprehensive3d", "enhanced"])
def test_measurement_groups_are_found(
    sr_class: SRClass, report: Callable[..., Any], positive: Make, source: Callable[..., Dataset]
) -> None:
    content = report(positive(), sr_class=sr_class)
    identifier, uid = tracking(source(), positive(), 0)
    (finding,) = content.get_image_measurement_groups(tracking_uid=uid)
    assert (finding.tracking_identifier, finding.tracking_uid) == (identifier, uid)
    assert finding.finding_type == coded(codes.PNEUMOTHORAX)
    assert finding.finding_sites[0].value == coded(codes.PLEURA)
    assert values(finding) == [("Probability", 0.93, "1"), ("Distance", 47.8, "mm")]
    (presence,) = finding.get_qualitative_evaluations()
    assert (presence.name, presence.value) == (coded(codes.PNEUMOTHORAX), coded(codes.PRESENT))
    (region,) = content.get_planar_roi_measurement_groups(tracking_uid=uid)
    assert values(region) == [("Area", 3373.9, "mm2")]


@pytest.mark.parametrize(("shape", "numbers"), [((400, 512), (1, 2)), (SHAPE, (1, 1))])
def test_a_query_tells_findings_apart(
    report: Callable[..., Any], positive: Make, shape: tuple[int, int], numbers: tuple[int, int]
) -> None:
    first, second, _ = two_masks(positive, shape)
    content = report(first, second)
    for concept, number in zip((codes.PNEUMOTHORAX, codes.PLEURAL_EFFUSION), numbers, strict=True):
        asked = CodeItem(concept.value, concept.scheme, concept.meaning)
        assert len(content.get_image_measurement_groups(finding_type=asked)) == 1
        (region,) = content.get_planar_roi_measurement_groups(finding_type=asked)
        frame = region.referenced_segmentation_frame[0]
        assert frame.referenced_segment_numbers == [number]
        assert frame.referenced_frame_numbers is None
    assert not content.get_image_measurement_groups(finding_type=coded(codes.NODULE))


def test_a_normal_radiograph_is_found_as_absent(
    report: Callable[..., Any], negative: Findings
) -> None:
    content = report(negative)
    (finding,) = content.get_image_measurement_groups()
    (presence,) = finding.get_qualitative_evaluations()
    assert presence.value == coded(codes.ABSENT)
    assert values(finding) == [("Probability", 0.034, "1")]
    assert not content.get_planar_roi_measurement_groups()


def test_frames_are_the_masks(segmentation: Bytes, positive: Make) -> None:
    first, second, masks = two_masks(positive)
    assert not np.array_equal(masks[0], masks[1])
    frames = imread(BytesIO(segmentation(first, second))).get_frames()
    assert np.array_equal(frames.astype(bool), masks)


def test_segments_are_found_by_source_and_tracking(
    segmentation: Bytes, positive: Make, source: Callable[..., Dataset]
) -> None:
    """Read with the SEG reader too, which `segread` calls.

    It refuses pixel measures without a slice thickness, which a projection does not
    have (1C, PS3.3 C.7.6.16.2.1): its copy alone is given one.
    """
    first, second, masks = two_masks(positive)
    copy = imread(BytesIO(segmentation(first, second)))
    copy.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SliceThickness = 1
    read = Segmentation.from_dataset(copy)
    assert read.get_source_image_uids() == [SOURCE_UIDS]
    pixels = read.get_pixels_by_source_instance([SOURCE_UIDS[2]])
    assert np.array_equal(np.moveaxis(pixels[0], -1, 0).astype(bool), masks)
    for number, findings in ((1, first), (2, second)):
        identifier, uid = tracking(source(), findings, 0)
        assert read.get_segment_numbers(tracking_uid=uid) == [number]
        segment = read.get_segment_description(number)
        assert segment.tracking_id == identifier
        parameters = segment.algorithm_identification.parameters
        assert parameters["weights SHA-256"] == findings.algorithm.model_sha256
        assert parameters["threshold"] == "0.42"
