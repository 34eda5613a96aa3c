"""Encapsulated PDF: a page to print or to file (PS3.3 A.45.1)."""

from collections.abc import Iterator
from io import BytesIO
from xml.sax.saxutils import escape

from pydicom.dataset import Dataset
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.platypus import (
    Flowable,
    Image,
    Paragraph,
    SimpleDocTemplate,
    Spacer,
)

from dicom_node.domain import codes
from dicom_node.domain.findings import Findings
from dicom_node.domain.study import Radiograph
from dicom_node.domain.work import ReportObject
from dicom_node.reports import words as say
from dicom_node.reports.attributes import add, coded
from dicom_node.reports.common import (
    NOT_FOR_DIAGNOSIS,
    ReportContext,
    analysed,
    finished,
    local_time,
    new_object,
    source_image,
)
from dicom_node.reports.picture import drawn
from dicom_node.reports.source import text

SOP_CLASS_UID = "1.2.840.10008.5.1.4.1.1.104.1"
TITLE = "AI reading of a chest radiograph"
PICTURE_HEIGHT = 110 * mm
BODY = ParagraphStyle("body", fontName="Helvetica", fontSize=10, leading=13)
SMALL = ParagraphStyle("small", parent=BODY, fontSize=8, leading=10, textColor="#555555")
STRONG = ParagraphStyle("strong", parent=BODY, fontName="Helvetica-Bold", spaceBefore=6)
HEAD = ParagraphStyle("head", parent=STRONG, fontSize=15, leading=19)
ALARM = ParagraphStyle("alarm", parent=HEAD, textColor="#BE3200")


def build(
    source: Dataset,
    radiograph: Radiograph | None,
    findings: tuple[Findings, ...],
    context: ReportContext,
) -> ReportObject:
    """Print findings, picture, algorithms and remarks, or why there are none."""
    page = printed(source, radiograph, findings, context)
    ds = new_object(SOP_CLASS_UID, "pdf", source, findings, context)
    add(
        ds,
        Modality="DOC",
        ConversionType="WSD",
        SeriesDescription="AI report (PDF)",
        AcquisitionDateTime=None,
        BurnedInAnnotation="YES",
        SourceInstanceSequence=source_image(source),
        DocumentTitle=TITLE,
        ConceptNameCodeSequence=coded(codes.DIAGNOSTIC_IMAGING_REPORT),
        VerificationFlag="UNVERIFIED",
        MIMETypeOfEncapsulatedDocument="application/pdf",
        EncapsulatedDocument=page + b"\0" * (len(page) % 2),
        EncapsulatedDocumentLength=len(page),
    )
    return finished(ds, "pdf", source)


def printed(
    source: Dataset,
    radiograph: Radiograph | None,
    findings: tuple[Findings, ...],
    context: ReportContext,
) -> bytes:
    """Lay the page out; the same findings give the same bytes."""
    buffer = BytesIO()
    page = SimpleDocTemplate(
        buffer,
        pagesize=A4,
        topMargin=14 * mm,
        bottomMargin=14 * mm,
        title=TITLE,
        invariant=1,
    )
    page.build(list(_story(source, radiograph, findings, context)))
    return buffer.getvalue()


def _story(
    source: Dataset,
    radiograph: Radiograph | None,
    findings: tuple[Findings, ...],
    context: ReportContext,
) -> Iterator[Flowable]:
    yield _said(TITLE, HEAD)
    yield _said(NOT_FOR_DIAGNOSIS, ALARM)
    for line in _patient(source):
        yield _said(line, BODY)
    if any(one.urgent for one in findings):
        yield _said("URGENT", ALARM)
    for finding in (each for one in findings for each in one.findings):
        first, *rest = say.sentences(finding)
        yield _said(first, STRONG)
        for line in rest:
            yield _said(line, BODY)
    if radiograph is not None and analysed(findings):
        yield Spacer(1, 3 * mm)
        yield _picture(radiograph, findings)
        yield Spacer(1, 3 * mm)
    for remark in say.remarks(radiograph, findings):
        yield _said(remark, SMALL)
    for one in findings:
        yield _said(f"Algorithm: {say.algorithm(one)}", SMALL)
    made = local_time(source, context)
    yield _said(f"Made {made:%Y-%m-%d %H:%M:%S} by {context.ae_title}", SMALL)


def _patient(source: Dataset) -> Iterator[str]:
    """Name patient and study: a printed page must not get lost."""
    name = text(source, "PatientName").split("=")[0].replace("^", " ").strip()
    yield f"Patient: {name or '-'}, born {text(source, 'PatientBirthDate') or '-'}"
    yield f"Patient ID: {text(source, 'PatientID') or '-'}"
    number, day = text(source, "AccessionNumber"), text(source, "StudyDate")
    yield f"Accession number: {number or '-'}, study of {day or '-'}"


def _picture(radiograph: Radiograph, findings: tuple[Findings, ...]) -> Flowable:
    image = drawn(radiograph, findings)
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=88)
    buffer.seek(0)
    height = min(PICTURE_HEIGHT, 170 * mm * image.height / image.width)
    return Image(buffer, width=height * image.width / image.height, height=height)


def _said(line: str, style: ParagraphStyle) -> Flowable:
    """Make a paragraph; the page's fonts hold Western letters only."""
    return Paragraph(escape(line.encode("cp1252", "replace").decode("cp1252")), style)
