"""Segmentation: where the findings are, pixel by pixel.

BINARY (PS3.3 A.51, C.8.20), one frame per segment, all in stored pixel order.
A radiograph has no frame of reference, and none is invented. The object is put
together here of highdicom's parts: its whole Segmentation copies the patient's
values through checks that real headers fail, and leaves out the plane orientation,
and the pixel measures of a source without spacing, that viewers need.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from highdicom import CoordinateSystemNames, PixelMeasuresSequence, PlaneOrientationSequence
from highdicom.color import CIELabColor
from highdicom.seg import SegmentAlgorithmTypeValues, SegmentDescription
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from dicom_node.domain import codes
from dicom_node.domain.exchange.substitution import SOP_CLASSES
from dicom_node.domain.findings import CodedConcept, Finding, Findings
from dicom_node.domain.regions import region_of, sharing
from dicom_node.domain.study import InstanceRef, Radiograph, Spacing
from dicom_node.domain.work import ReportObject, derive_uid
from dicom_node.formats.dicom.attributes import text
from dicom_node.formats.dicom.header import ref_of
from dicom_node.formats.dicom.values import add, clipped, coded, decimal, item, reference, tag_of
from dicom_node.results.colours import cielab, colour_of
from dicom_node.results.common import (
    UNVERIFIED,
    ExaminedImage,
    ReportContext,
    add_lossy,
    algorithm_identified,
    new_object,
    object_uid,
    series_uid,
    source_image,
    tracking,
    write_object,
)

SOP_CLASS_UID = SOP_CLASSES["seg"]


def build(examined: ExaminedImage, context: ReportContext) -> ReportObject | None:
    """Make one segment per finding that has a region; None without any.

    Raises ValueError for a mask whose shape is not the radiograph's.
    """
    source, radiograph, findings = examined
    regions = segments(findings)
    if radiograph is None or not regions:
        return None
    masks = [_mask(findings[of].findings[index], radiograph) for of, index in regions]
    ds = new_object(SOP_CLASS_UID, "seg", examined, context)
    add(
        ds,
        Modality="SEG",
        ImageType=["DERIVED", "PRIMARY"],
        SeriesDescription=clipped(f"AI segmentation: {', '.join(_named(findings, regions))}"),
        ContentLabel="AI_SEG",
        ContentDescription=clipped(UNVERIFIED),
        ContentCreatorName=None,
        PatientOrientation=None,
        ReferencedSeriesSequence=_referenced_series(source),
        SourceImageSequence=source_image(source),
        SegmentSequence=list(_describe_segments(source, findings, regions)),
    )
    _add_frames(ds, source, masks, radiograph.spacing)
    add_lossy(ds, source)
    return write_object(ds, "seg", source, ("BodyPartExamined", "PatientOrientation"))


def segments(findings: tuple[Findings, ...]) -> list[tuple[int, int]]:
    """List (findings, finding) indices with a region, in the order of segment numbers."""
    return [
        (of, index)
        for of, answer in enumerate(findings)
        for index, finding in enumerate(answer.findings)
        if region_of(finding) is not None
    ]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a finding's region is: series, object, and segment number from 1."""

    series_uid: str
    ref: InstanceRef
    number: int


def places(source: Dataset, findings: tuple[Findings, ...]) -> dict[tuple[int, int], Place]:
    """Give the place of every region by its (findings, finding) indices."""
    found: dict[tuple[int, int], Place] = {}
    for group in sharing(findings):
        part = tuple(findings[of] for of in group)
        series = series_uid(source, part, "seg")
        ref = InstanceRef(SOP_CLASS_UID, object_uid(source, part, "seg"))
        for number, (of, index) in enumerate(segments(part), start=1):
            found[group[of], index] = Place(series, ref, number)
    return found


def pack_bits(masks: list[NDArray[np.bool_]]) -> bytes:
    """Pack 1-bit frames without gaps, first pixel lowest (PS3.5 8.1.1, 8.2)."""
    bits = np.packbits(np.concatenate([mask.ravel() for mask in masks]), bitorder="little")
    return bits.tobytes() + b"\0" * (bits.size % 2)


def _mask(finding: Finding, radiograph: Radiograph) -> NDArray[np.bool_]:
    mask = region_of(finding)
    if mask is None or mask.shape != radiograph.pixels.shape:
        raise ValueError(f"mask does not fit a radiograph of {radiograph.pixels.shape}")
    return mask


def _named(findings: tuple[Findings, ...], regions: list[tuple[int, int]]) -> list[str]:
    return list(dict.fromkeys(findings[of].findings[i].code.meaning for of, i in regions))


def _add_frames(
    ds: Dataset, source: Dataset, masks: list[NDArray[np.bool_]], spacing: Spacing | None
) -> None:
    rows, columns = masks[0].shape
    organization = derive_uid(ds.SOPInstanceUID, "dimensions")
    frames = range(1, len(masks) + 1)
    add(
        ds,
        SamplesPerPixel=1,
        PhotometricInterpretation="MONOCHROME2",
        NumberOfFrames=len(masks),
        Rows=rows,
        Columns=columns,
        BitsAllocated=1,
        BitsStored=1,
        HighBit=0,
        PixelRepresentation=0,
        SegmentationType="BINARY",
        SegmentsOverlap="YES" if _overlap(masks) else "NO",
        DimensionOrganizationSequence=item(DimensionOrganizationUID=organization),
        DimensionIndexSequence=_dimension(organization),
        SharedFunctionalGroupsSequence=_shared(spacing),
        PerFrameFunctionalGroupsSequence=[_frame(source, number) for number in frames],
        PixelData=pack_bits(masks),
    )


def _overlap(masks: list[NDArray[np.bool_]]) -> bool:
    return any(bool((mask & other).any()) for mask, other in combinations(masks, 2))


def _describe_segments(
    source: Dataset, findings: tuple[Findings, ...], regions: list[tuple[int, int]]
) -> Iterator[Dataset]:
    """Write the Segment Description Macro (PS3.3 C.8.20.4) of every segment."""
    for number, (of, index) in enumerate(regions, start=1):
        finding = findings[of].findings[index]
        identifier, uid = tracking(source, findings[of], index)
        label = finding.segment.label if finding.segment else ""
        kind = _with_side(finding, finding.code, "SegmentedPropertyTypeModifierCodeSequence")
        region = _with_side(finding, finding.site, "AnatomicRegionModifierSequence")
        yield SegmentDescription(
            number,
            clipped(label or finding.code.meaning),
            coded(codes.MORPHOLOGICALLY_ABNORMAL_STRUCTURE),
            kind,
            SegmentAlgorithmTypeValues.AUTOMATIC,
            algorithm_identified(findings[of].algorithm, finding),
            tracking_uid=uid,
            tracking_id=identifier,
            anatomic_regions=[region],
            display_color=CIELabColor.from_dicom_value(cielab(colour_of(number - 1))),
        )


def _with_side(finding: Finding, concept: CodedConcept, modifier: str) -> Dataset:
    side = codes.SIDE.get(finding.side)
    return coded(concept) if side is None else add(coded(concept), **{modifier: coded(side)})


def _referenced_series(source: Dataset) -> Dataset:
    ref = ref_of(source)
    return item(
        SeriesInstanceUID=text(source, "SeriesInstanceUID"),
        ReferencedInstanceSequence=reference(ref.sop_class_uid, ref.sop_instance_uid),
    )


def _dimension(organization: str) -> Dataset:
    return item(
        DimensionOrganizationUID=organization,
        DimensionIndexPointer=tag_of("ReferencedSegmentNumber"),
        FunctionalGroupPointer=tag_of("SegmentIdentificationSequence"),
        DimensionDescriptionLabel="Referenced Segment Number",
    )


def _shared(spacing: Spacing | None) -> Dataset:
    """Write what all frames share; viewers show nothing without either group.

    A source without spacing gets only a distance between (absent) slices, which
    invents no pixel size.
    """
    if spacing is None:
        measures = [item(SpacingBetweenSlices="1")]
    else:
        written = [float(decimal(mm)) for mm in (spacing.row_mm, spacing.column_mm)]
        measures = PixelMeasuresSequence(written, slice_thickness=None)
    return item(
        PixelMeasuresSequence=measures,
        PlaneOrientationSequence=PlaneOrientationSequence(
            CoordinateSystemNames.PATIENT, (1, 0, 0, 0, 1, 0)
        ),
    )


def _frame(source: Dataset, number: int) -> Dataset:
    image = add(source_image(source), SpatialLocationsPreserved="YES")
    return item(
        DerivationImageSequence=item(
            SourceImageSequence=image, DerivationCodeSequence=coded(codes.SEGMENTATION)
        ),
        FrameContentSequence=item(DimensionIndexValues=[number]),
        SegmentIdentificationSequence=item(ReferencedSegmentNumber=number),
    )
