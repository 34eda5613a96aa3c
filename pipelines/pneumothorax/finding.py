"""Turn the networks' answer on one film into a finding."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dicom_node.domain.findings import (
    Finding,
    Measurement,
    OperatingPoint,
    Presence,
    Segment,
    Side,
)
from dicom_node.domain.study import Radiograph, Spacing
from pipelines.geometry import Geometry, standard_from_network
from pipelines.pneumothorax import codes, measure
from pipelines.serving.manifest import ModelManifest
from pipelines.thorax import Thorax


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the networks say of one film, on the pneumothorax network's grid."""

    logit: float
    shares: NDArray[np.float32]
    spread: float | None
    geometry: Geometry
    thorax: Thorax


def finding_of(
    manifest: ModelManifest, point: OperatingPoint, radiograph: Radiograph, evidence: Evidence
) -> Finding:
    """Turn the networks' answer into a finding."""
    probability = manifest.calibration.probability(evidence.logit)
    present = probability >= point.threshold
    mask = measure.plausible(evidence.shares, manifest.mask_threshold)
    drawn = present and bool(mask.any())
    segment = _segment(evidence, mask, manifest.mask_threshold) if drawn else None
    knows_sides = drawn and _knows_sides(radiograph)
    measurements: tuple[Measurement, ...] = ()
    size = ""
    if segment is not None:
        measurements, size = _measurements(mask, segment, radiograph.spacing, evidence)
    return Finding(
        code=codes.CODE,
        presence=Presence.PRESENT if present else Presence.ABSENT,
        probability=probability,
        operating_point=point,
        site=codes.SITE,
        side=measure.side_of(mask, evidence.thorax) if knows_sides else Side.UNDETERMINED,
        urgent=present and probability >= manifest.urgent_operating_point.threshold,
        measurements=measurements,
        segment=segment,
        size_class=size,
        uncertainty=evidence.spread,
    )


def _segment(evidence: Evidence, mask: measure.Mask, threshold: float) -> Segment | None:
    """Draw the mask in stored pixels, with the map's smooth border."""
    noise = (evidence.shares > threshold) & ~mask
    kept = np.where(noise, np.float32(0), evidence.shares)
    standard = standard_from_network(kept, evidence.geometry) > threshold
    stored = np.ascontiguousarray(evidence.geometry.to_stored(standard), dtype=np.bool_)
    return Segment(stored, codes.SEGMENT_LABEL) if stored.any() else None


def _measurements(
    mask: measure.Mask, segment: Segment, spacing: Spacing | None, evidence: Evidence
) -> tuple[tuple[Measurement, ...], str]:
    """Measure in millimetres and name the size; without a spacing only the share."""
    share = evidence.thorax.share(mask)
    shares = () if share is None else (codes.hemithorax_share(share),)
    if spacing is None:
        return shares, ""
    geometry = evidence.geometry
    scale = grid_scale(spacing, geometry, mask.shape[0])
    gap = measure.interpleural(mask, scale)
    apex = measure.apex_to_cupola(mask, scale)
    pixels = int(np.count_nonzero(segment.mask))
    found = [
        codes.area(pixels * spacing.row_mm * spacing.column_mm),
        codes.interpleural_distance(gap.length_mm, _stored_line(gap, mask.shape, geometry)),
    ]
    if apex is not None:
        line = _stored_line(apex, mask.shape, geometry)
        found.append(codes.apex_distance(apex.length_mm, line))
    return (*found, *shares), measure.size_class(mask, scale, apex, evidence.thorax)


def grid_scale(spacing: Spacing, geometry: Geometry, size: int) -> measure.Scale:
    """Size of a network cell in mm; turned images swap their spacings."""
    row_mm, column_mm = spacing.row_mm, spacing.column_mm
    if geometry.transposed:
        row_mm, column_mm = column_mm, row_mm
    rows, columns = geometry.standard_shape
    return measure.Scale(row_mm * rows / size, column_mm * columns / size)


def _stored_line(
    distance: measure.Distance, shape: tuple[int, ...], geometry: Geometry
) -> codes.Line:
    """Carry a line from the network's grid to stored pixels (SCOORD sense)."""
    rows, columns = geometry.standard_shape
    start, end = (
        geometry.point_to_stored((row * rows / shape[0], column * columns / shape[1]))
        for row, column in (distance.start, distance.end)
    )
    return start, end


def _knows_sides(radiograph: Radiograph) -> bool:
    return radiograph.orientation is not None and radiograph.orientation.shows_sides


def notes_of(
    radiograph: Radiograph, finding: Finding, evidence: Evidence, level: float
) -> Iterator[str]:
    """Say what a reader of the result should know."""
    yield from radiograph.notes
    if radiograph.view_position.upper() == "AP":
        yield codes.AP_VIEW
    if finding.presence is Presence.PRESENT:
        if radiograph.spacing is None:
            yield codes.NO_SPACING
        elif radiograph.spacing.plane == "detector":
            yield codes.DETECTOR_PLANE
        if not _knows_sides(radiograph):
            yield codes.NO_ORIENTATION
        if not evidence.thorax.holds(measure.plausible(evidence.shares, level)):
            yield codes.OUTSIDE
