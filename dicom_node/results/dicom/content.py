"""Content items of structured reports (PS3.3 C.17.3), of highdicom's types."""

import numpy as np
from highdicom.sr import (
    CodeContentItem,
    ContainerContentItem,
    GraphicTypeValues,
    ImageContentItem,
    NumContentItem,
    RelationshipTypeValues,
    ScoordContentItem,
    TextContentItem,
    UIDRefContentItem,
)
from pydicom.dataset import Dataset

from dicom_node.domain import codes
from dicom_node.domain.findings import Algorithm, CodedConcept
from dicom_node.domain.followup import Sent
from dicom_node.domain.study import NODE_MODEL, InstanceRef
from dicom_node.formats.dicom.attributes import text
from dicom_node.formats.dicom.header import ref_of
from dicom_node.formats.dicom.values import add, coded, item, reference
from dicom_node.results.common import ReportContext, device_uid

Points = tuple[tuple[float, float], ...]
"""(row, column) points of a line; the first pixel's centre is 0.5, 0.5."""


def container(name: CodedConcept, *children: Dataset, template: str = "") -> Dataset:
    """Make a CONTAINER; its relationship to the parent is CONTAINS."""
    ds = ContainerContentItem(
        coded(name),
        is_content_continuous=False,
        template_id=template or None,
        relationship_type=RelationshipTypeValues.CONTAINS,
    )
    return with_children(ds, *children)


def code(name: CodedConcept, value: CodedConcept, relation: str = "CONTAINS") -> Dataset:
    """Make a CODE item."""
    ds: Dataset = CodeContentItem(coded(name), coded(value), relation)
    return ds


def words(name: CodedConcept, value: str, relation: str = "CONTAINS") -> Dataset:
    """Make a TEXT item; an empty text (not allowed) becomes a dash."""
    ds: Dataset = TextContentItem(coded(name), value or "-", relation)
    return ds


def uid(name: CodedConcept, value: str, relation: str) -> Dataset:
    """Make a UIDREF item."""
    ds: Dataset = UIDRefContentItem(coded(name), value, relation)
    return ds


def number(
    name: CodedConcept, value: float, unit: CodedConcept, relation: str = "CONTAINS"
) -> Dataset:
    """Make a NUM item; its value is written as a text (DS) and, if a float, as one (FD)."""
    ds: Dataset = NumContentItem(coded(name), value, coded(unit), relationship_type=relation)
    return ds


def line(points: Points, of: InstanceRef) -> Dataset:
    """Make the SCOORD that a measurement was inferred from (PS3.3 C.18.6).

    GraphicData is column, row; the image is named "Source", for a viewer that
    meets an unnamed one may fail.
    """
    ds = ScoordContentItem(
        coded(codes.SOURCE),
        GraphicTypeValues.POLYLINE,
        np.array([(column, row) for row, column in points]),
        relationship_type=RelationshipTypeValues.INFERRED_FROM,
    )
    return with_children(ds, image(codes.SOURCE, of, "SELECTED FROM"))


def image(
    name: CodedConcept, of: InstanceRef, relation: str = "CONTAINS", segment: int = 0
) -> Dataset:
    """Make an IMAGE item, of one segment of a SEG where `segment` is given.

    Only the segment is named: with a frame number beside it the reference is
    invalid (PS3.3 10.3, Table 10-3). The item is made of attributes, for its
    constructor would judge a sender's malformed UID, which is to be copied.
    """
    ref = reference(of.sop_class_uid, of.sop_instance_uid)
    if segment:
        add(ref, ReferencedSegmentNumber=[segment])
    attributes = item(
        RelationshipType=relation,
        ValueType="IMAGE",
        ConceptNameCodeSequence=coded(name),
        ReferencedSOPSequence=ref,
    )
    ds: Dataset = ImageContentItem.from_dataset(attributes, copy=False)
    return ds


def with_children(ds: Dataset, *children: Dataset) -> Dataset:
    """Append content items to an item that has none yet."""
    if children:
        ds.ContentSequence = list(children)
    return ds


def observer(context: ReportContext, *algorithms: Algorithm) -> tuple[Dataset, ...]:
    """Say in which language and who observed: a device (TID 1204, 1001, 1004)."""
    context_item = "HAS OBS CONTEXT"
    return (
        code(codes.LANGUAGE, codes.ENGLISH, "HAS CONCEPT MOD"),
        code(codes.OBSERVER_TYPE, codes.DEVICE, context_item),
        uid(codes.DEVICE_UID, device_uid(*algorithms), context_item),
        words(codes.DEVICE_NAME, context.ae_title, context_item),
        words(codes.DEVICE_MANUFACTURER, NODE_MODEL, context_item),
        words(codes.DEVICE_MODEL, NODE_MODEL, context_item),
        words(codes.DEVICE_SERIAL_NUMBER, context.ae_title, context_item),
    )


def add_document(
    ds: Dataset,
    root: Dataset,
    source: Dataset,
    segs: tuple[tuple[str, InstanceRef], ...] = (),
    before: tuple[Sent, ...] = (),
) -> None:
    """Make `ds` a document with this content tree (PS3.3 C.17.1 and C.17.2).

    `segs` are those that the tree refers to, with their series; `before` are documents
    that this one replaces.
    """
    documents = tuple(earlier for earlier in before if earlier.kind in ("sr", "text_sr"))
    if documents:
        add(ds, PredecessorDocumentsSequence=earlier(source, documents))
    del root.RelationshipType
    add(
        ds,
        Modality="SR",
        ReferencedPerformedProcedureStepSequence=[],
        PerformedProcedureCodeSequence=[],
        CompletionFlag="COMPLETE",
        VerificationFlag="UNVERIFIED",
        PreliminaryFlag="PRELIMINARY",
        CurrentRequestedProcedureEvidenceSequence=evidence(source, segs),
    )
    ds.update(root)


def evidence(source: Dataset, segs: tuple[tuple[str, InstanceRef], ...] = ()) -> Dataset:
    """List all that the content tree refers to (PS3.3 C.17.2.3)."""
    ref = ref_of(source)
    series = [_series(uid, of) for uid, of in ((text(source, "SeriesInstanceUID"), ref), *segs)]
    return item(StudyInstanceUID=text(source, "StudyInstanceUID"), ReferencedSeriesSequence=series)


def earlier(source: Dataset, before: tuple[Sent, ...]) -> Dataset:
    """Refer to earlier objects of the same study (PS3.3 table C.17-3b)."""
    by_series: dict[str, list[Dataset]] = {}
    for earlier in before:
        ref = reference(earlier.ref.sop_class_uid, earlier.ref.sop_instance_uid)
        by_series.setdefault(earlier.series_uid, []).append(ref)
    series = [
        item(SeriesInstanceUID=uid, ReferencedSOPSequence=refs) for uid, refs in by_series.items()
    ]
    return item(StudyInstanceUID=text(source, "StudyInstanceUID"), ReferencedSeriesSequence=series)


def _series(series_uid: str, ref: InstanceRef) -> Dataset:
    return item(
        SeriesInstanceUID=series_uid,
        ReferencedSOPSequence=reference(ref.sop_class_uid, ref.sop_instance_uid),
    )
