"""Structured report of measurements and findings (TID 1500).

One measurement group (TID 1501) per finding: what was found, where, how likely,
and the lines it was measured along. A finding with a region has a second group
(TID 1410) that refers to its segment, under the same Tracking UID; coordinates
are not allowed there, so what was measured along a line stays in the first.
Every report has a number with coordinates, and every image a name: viewers that
draw TID 1500 show nothing, or fail, without them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset

from dicom_node.domain import codes
from dicom_node.domain.exchange.substitution import SR_SOP_CLASSES
from dicom_node.domain.findings import Algorithm, CodedConcept, Finding, Findings, Measurement
from dicom_node.domain.identity import analysed
from dicom_node.domain.regions import region_of
from dicom_node.domain.study import InstanceRef, Radiograph
from dicom_node.domain.work import ReportObject
from dicom_node.formats.dicom.attributes import text
from dicom_node.formats.dicom.header import ref_of
from dicom_node.formats.dicom.values import add
from dicom_node.results import words as say
from dicom_node.results.common import (
    ExaminedImage,
    ReportContext,
    new_object,
    operating_point,
    tracking,
    write_object,
)
from dicom_node.results.dicom import seg, text_sr
from dicom_node.results.dicom.content import (
    Points,
    add_document,
    code,
    container,
    image,
    line,
    number,
    observer,
    uid,
    with_children,
    words,
)

MODIFIES = "HAS CONCEPT MOD"


def build(examined: ExaminedImage, context: ReportContext) -> ReportObject:
    """Report all pipelines' findings of one image in one document.

    An image that no pipeline read gives the Basic Text SR that says why: TID 1500
    needs a measurement, and viewers show only its measurements.
    """
    source, radiograph, findings = examined
    read = analysed(findings)
    if radiograph is None or not any(answer.findings for answer in read):
        return text_sr.build(examined, context)
    image_of = _Image(radiograph, ref_of(source))
    places = seg.places(source, findings) if context.references_seg else {}
    root = container(
        codes.IMAGING_MEASUREMENT_REPORT,
        *observer(context, *(answer.algorithm for answer in findings)),
        code(codes.PROCEDURE_REPORTED, codes.PLAIN_CHEST_XRAY, MODIFIES),
        image_library(source, radiograph),
        container(codes.IMAGING_MEASUREMENTS, *_all_groups(source, findings, image_of, places)),
        *(words(codes.COMMENT, remark) for remark in say.remarks(radiograph, findings)),
        template="1500",
    )
    ds = new_object(SR_SOP_CLASSES[context.sr_class], "sr", examined, context)
    add(ds, SeriesDescription="AI structured report")
    segs = dict.fromkeys((made.series_uid, made.ref) for made in places.values())
    add_document(ds, root, source, tuple(segs), context.before)
    return write_object(ds, "sr", source)


@dataclass(frozen=True, slots=True)
class _Image:
    """The image that the groups speak of."""

    radiograph: Radiograph
    ref: InstanceRef


def _all_groups(
    source: Dataset,
    findings: tuple[Findings, ...],
    image_of: _Image,
    places: Mapping[tuple[int, int], seg.Place],
) -> Iterator[Dataset]:
    for of, answer in enumerate(findings):
        for index, finding in enumerate(answer.findings):
            tracked = _tracked(finding, *tracking(source, answer, index))
            place = places.get((of, index))
            yield _finding_group(tracked, answer.algorithm, finding, image_of, place is None)
            if place is not None:
                yield _region_group(tracked, finding, image_of, place)


def _tracked(finding: Finding, identifier: str, tracking_uid: str) -> tuple[Dataset, ...]:
    """Say which finding a group is about and where: the head of each of its groups."""
    site = code(codes.FINDING_SITE, finding.site, MODIFIES)
    side = codes.SIDE.get(finding.side)
    if side is not None:
        site = with_children(site, code(codes.LATERALITY, side, MODIFIES))
    return (
        words(codes.TRACKING_IDENTIFIER, identifier, "HAS OBS CONTEXT"),
        uid(codes.TRACKING_UID, tracking_uid, "HAS OBS CONTEXT"),
        code(codes.FINDING, finding.code),
        site,
    )


def _finding_group(
    tracked: tuple[Dataset, ...],
    algorithm: Algorithm,
    finding: Finding,
    image_of: _Image,
    everything: bool,
) -> Dataset:
    """Make the group of TID 1501; with `everything`, sizes of the region too."""
    sizes = [measurement for measurement in finding.measurements if everything or measurement.line]
    # OHIF labels a group with its texts and numbers alone, five of them, texts first
    remarks = [say.headline(finding)]
    remarks += [f"Size: {finding.size_class}"] if finding.size_class else []
    return container(
        codes.MEASUREMENT_GROUP,
        *tracked,
        words(codes.ALGORITHM_NAME, algorithm.name, MODIFIES),
        words(codes.ALGORITHM_VERSION, algorithm.version, MODIFIES),
        words(codes.ALGORITHM_PARAMETERS, operating_point(finding), MODIFIES),
        words(codes.ALGORITHM_PARAMETERS, f"weights SHA-256 {algorithm.model_sha256}", MODIFIES),
        _probability(finding, image_of),
        *_uncertainty(finding),
        *(_measured(size, image_of) for size in sizes),
        code(finding.code, codes.PRESENCE[finding.presence]),
        *(words(codes.COMMENT, remark) for remark in remarks),
        template="1501",
    )


def _region_group(
    tracked: tuple[Dataset, ...], finding: Finding, image_of: _Image, place: seg.Place
) -> Dataset:
    """Make the group of TID 1410: the segment, and sizes without a line."""
    return container(
        codes.MEASUREMENT_GROUP,
        *tracked,
        image(codes.REFERENCED_SEGMENTATION_FRAME, place.ref, segment=place.number),
        image(codes.SOURCE_IMAGE_FOR_SEGMENTATION, image_of.ref),
        *(
            _measured(measurement, image_of)
            for measurement in finding.measurements
            if not measurement.line
        ),
        template="1410",
    )


def _probability(finding: Finding, image_of: _Image) -> Dataset:
    """Give the probability, with the place it was inferred from unless a line shows it."""
    ds = number(codes.PROBABILITY, round(float(finding.probability), 4), codes.NO_UNITS)
    if any(measurement.line for measurement in finding.measurements) and not finding.boxes:
        return ds
    return with_children(ds, *(line(points, image_of.ref) for points in _places(finding, image_of)))


def _uncertainty(finding: Finding) -> Iterator[Dataset]:
    """Give the deviation of an ensemble's probabilities; nothing for a single model."""
    if finding.uncertainty is not None:
        deviation = round(float(finding.uncertainty), 4)
        yield number(codes.PROBABILITY_DEVIATION, deviation, codes.NO_UNITS)


def _places(finding: Finding, image_of: _Image) -> Iterator[Points]:
    """Give the finding's boxes, else its region's bounds, else the whole image's."""
    if finding.boxes:
        for box in finding.boxes:
            yield _rectangle(box.y, box.x, box.y + box.height, box.x + box.width)
    elif (mask := region_of(finding)) is not None:
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        yield _rectangle(rows[0], columns[0], rows[-1] + 1, columns[-1] + 1)
    else:
        yield _rectangle(0, 0, *image_of.radiograph.pixels.shape)


def _rectangle(top: float, left: float, bottom: float, right: float) -> Points:
    corners = ((top, left), (top, right), (bottom, right), (bottom, left), (top, left))
    return tuple((float(row), float(column)) for row, column in corners)


def _measured(measurement: Measurement, image_of: _Image) -> Dataset:
    ds = number(measurement.concept, float(say.amount(measurement)), measurement.unit)
    children = []
    if measurement.derivation is not None:
        children.append(code(codes.DERIVATION, measurement.derivation, MODIFIES))
    if measurement.line is not None:
        children.append(line(measurement.line, image_of.ref))
    return with_children(ds, *children)


ACQUIRED = "HAS ACQ CONTEXT"
MODALITIES: dict[str, CodedConcept] = {
    "CR": codes.COMPUTED_RADIOGRAPHY,
    "DX": codes.DIGITAL_RADIOGRAPHY,
}
VIEWS: dict[str, CodedConcept] = {"PA": codes.VIEW_PA, "AP": codes.VIEW_AP}


def image_library(source: Dataset, radiograph: Radiograph) -> Dataset:
    """Describe the radiograph that the report is about; unknown facts stay out."""
    entry = with_children(image(codes.SOURCE, ref_of(source)), *_descriptors(source, radiograph))
    group = container(codes.IMAGE_LIBRARY_GROUP, entry)
    return container(codes.IMAGE_LIBRARY, group)


def _descriptors(source: Dataset, radiograph: Radiograph) -> Iterator[Dataset]:
    modality = MODALITIES.get(text(source, "Modality"))
    if modality is not None:
        yield code(codes.MODALITY, modality, ACQUIRED)
    rows, columns = radiograph.pixels.shape
    yield number(codes.ROWS, rows, codes.PIXELS, ACQUIRED)
    yield number(codes.COLUMNS, columns, codes.PIXELS, ACQUIRED)
    view = VIEWS.get(radiograph.view_position)
    if view is not None:
        yield code(codes.IMAGE_VIEW, view, ACQUIRED)
    if radiograph.orientation is not None:
        yield words(codes.ORIENTATION_ROW, radiograph.orientation.row, ACQUIRED)
        yield words(codes.ORIENTATION_COLUMN, radiograph.orientation.column, ACQUIRED)
    if radiograph.spacing is not None:
        across, down = radiograph.spacing.column_mm, radiograph.spacing.row_mm
        yield number(codes.HORIZONTAL_SPACING, across, codes.MILLIMETRE, ACQUIRED)
        yield number(codes.VERTICAL_SPACING, down, codes.MILLIMETRE, ACQUIRED)
