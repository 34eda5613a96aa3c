"""Basic Text SR: the findings, or why there are none, to be read.

Sections of TID 2000 with text alone (PS3.3 A.35.1), which every viewer shows.
"""

from collections.abc import Iterator

from pydicom.dataset import Dataset

from dicom_node.domain import codes
from dicom_node.domain.exchange.substitution import SOP_CLASSES
from dicom_node.domain.findings import Findings
from dicom_node.domain.study import Radiograph
from dicom_node.domain.work import ReportObject
from dicom_node.formats.dicom.header import ref_of
from dicom_node.formats.dicom.values import add
from dicom_node.results import words as say
from dicom_node.results.common import ExaminedImage, ReportContext, new_object, write_object
from dicom_node.results.dicom.content import add_document, code, container, image, observer, words

SOP_CLASS_UID = SOP_CLASSES["text_sr"]


def build(examined: ExaminedImage, context: ReportContext) -> ReportObject:
    """Write findings, impressions, algorithms and remarks as text."""
    source, radiograph, findings = examined
    root = container(
        codes.DIAGNOSTIC_IMAGING_REPORT,
        *observer(context, *(answer.algorithm for answer in findings)),
        code(codes.PROCEDURE_REPORTED, codes.PLAIN_CHEST_XRAY, "HAS CONCEPT MOD"),
        *_sections(radiograph, findings),
        container(codes.CURRENT_PROCEDURE, *_procedure(source, findings)),
        template="2000",
    )
    ds = new_object(SOP_CLASS_UID, "text_sr", examined, context)
    add(ds, SeriesDescription="AI report in words")
    add_document(ds, root, source, before=context.before)
    return write_object(ds, "text_sr", source)


def _procedure(source: Dataset, findings: tuple[Findings, ...]) -> Iterator[Dataset]:
    for answer in findings:
        yield words(codes.PROCEDURE_DESCRIPTION, f"Read by {say.algorithm(answer)}")
    yield image(codes.SOURCE, ref_of(source))


def _sections(radiograph: Radiograph | None, findings: tuple[Findings, ...]) -> Iterator[Dataset]:
    known = [finding for answer in findings for finding in answer.findings]
    if known:
        said = ("\r\n".join(say.sentences(finding)) for finding in known)
        yield container(codes.FINDINGS_SECTION, *(words(codes.FINDING, text) for text in said))
    impressions = [say.impression(finding) for finding in known]
    impressions += say.remarks(radiograph, findings)
    yield container(codes.IMPRESSIONS, *(words(codes.IMPRESSION, text) for text in impressions))
