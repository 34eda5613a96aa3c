"""Key object note: this image is worth a look.

Key Object Selection Document (PS3.3 A.35.4, TID 2010) with the general title "Of
Interest": the standard has no code that says "for attention".
"""

from collections.abc import Iterator

from pydicom.dataset import Dataset

from dicom_node.domain import codes
from dicom_node.domain.exchange.substitution import SOP_CLASSES
from dicom_node.domain.findings import Findings, Presence
from dicom_node.domain.work import ReportObject
from dicom_node.formats.dicom.header import ref_of
from dicom_node.formats.dicom.values import add
from dicom_node.results import words as say
from dicom_node.results.common import (
    NOT_FOR_DIAGNOSIS,
    ExaminedImage,
    ReportContext,
    new_object,
    write_object,
)
from dicom_node.results.dicom.content import container, evidence, image, observer, words

SOP_CLASS_UID = SOP_CLASSES["kos"]


def build(examined: ExaminedImage, context: ReportContext) -> ReportObject | None:
    """Point at an image with something present; None when nothing is."""
    source, radiograph, findings = examined
    if radiograph is None or not any(finding.positive for finding in findings):
        return None
    root = container(
        codes.OF_INTEREST,
        *observer(context, *(answer.algorithm for answer in findings)),
        words(codes.KEY_OBJECT_DESCRIPTION, " ".join(_sentences(findings))),
        image(codes.SOURCE, ref_of(source)),
        template="2010",
    )
    ds = new_object(SOP_CLASS_UID, "kos", examined, context)
    add_selection(ds, root, "AI key object note", evidence(source))
    return write_object(ds, "kos", source)


def add_selection(ds: Dataset, root: Dataset, description: str, referred: Dataset) -> None:
    """Make `ds` a key object document (PS3.3 C.17.6.2) of what is `referred` to."""
    del root.RelationshipType
    add(
        ds,
        Modality="KO",
        SeriesDescription=description,
        ReferencedPerformedProcedureStepSequence=[],
        CurrentRequestedProcedureEvidenceSequence=referred,
    )
    ds.update(root)


def _sentences(findings: tuple[Findings, ...]) -> Iterator[str]:
    for finding in (each for answer in findings for each in answer.findings):
        if finding.presence is Presence.PRESENT:
            yield ("URGENT. " if finding.urgent else "") + say.impression(finding)
    yield NOT_FOR_DIAGNOSIS
