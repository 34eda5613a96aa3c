"""Rejection note: these results are replaced and should no longer be shown.

Key Object Selection Document with the title "Rejected for Quality Reasons" (TID
2010), as IHE Imaging Object Change Management has it: a manager that knows it hides
what it names.
"""

from highdicom.sr import CompositeContentItem
from pydicom.dataset import Dataset

from dicom_node.domain import codes
from dicom_node.domain.followup import Sent
from dicom_node.domain.work import ReportObject
from dicom_node.formats.dicom.values import coded, item, reference
from dicom_node.results.common import ExaminedImage, ReportContext, new_object, write_object
from dicom_node.results.dicom.content import container, earlier, image, observer, words
from dicom_node.results.dicom.kos import SOP_CLASS_UID, add_selection

SAID = "Replaced by the results of a later reading of the same image."
PICTURES = ("seg", "sc")
"""Kinds with pixels; the others are referred to as composite objects."""


def build(examined: ExaminedImage, context: ReportContext) -> ReportObject | None:
    """Reject what `context.before` lists; None when it lists nothing."""
    source, findings = examined.source, examined.findings
    if not context.before:
        return None
    root = container(
        codes.REJECTED,
        *observer(context, *(answer.algorithm for answer in findings)),
        words(codes.KEY_OBJECT_DESCRIPTION, SAID),
        *map(_rejected, context.before),
        template="2010",
    )
    ds = new_object(SOP_CLASS_UID, "rejection", examined, context)
    add_selection(ds, root, "AI results replaced", earlier(source, context.before))
    return write_object(ds, "rejection", source)


def _rejected(earlier: Sent) -> Dataset:
    if earlier.kind in PICTURES:
        return image(codes.SOURCE, earlier.ref)
    ds: Dataset = CompositeContentItem.from_dataset(
        item(
            RelationshipType="CONTAINS",
            ValueType="COMPOSITE",
            ConceptNameCodeSequence=coded(codes.SOURCE),
            ReferencedSOPSequence=reference(
                earlier.ref.sop_class_uid, earlier.ref.sop_instance_uid
            ),
        ),
        copy=False,
    )
    return ds
