"""Encapsulated PDF: a page to print or to file (PS3.3 A.45.1)."""

from io import BytesIO
from typing import Any

from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.platypus import Flowable, SimpleDocTemplate

from dicom_node.domain import codes
from dicom_node.domain.exchange.substitution import SOP_CLASSES
from dicom_node.domain.identity import analysed
from dicom_node.domain.work import ReportObject
from dicom_node.formats.dicom.attributes import text
from dicom_node.formats.dicom.values import add, coded
from dicom_node.results.common import (
    NOT_FOR_DIAGNOSIS,
    ExaminedImage,
    ReportContext,
    new_object,
    source_image,
    write_object,
)
from dicom_node.results.page import fonts
from dicom_node.results.page import page as pdf_page
from dicom_node.results.page.pictures import picture
from dicom_node.results.page.style import GREY, RED, WIDTH

SOP_CLASS_UID = SOP_CLASSES["pdf"]
SIDE_MARGIN = (A4[0] - WIDTH) / 2
TOP_MARGIN = 12 * mm
FOOT = 16 * mm
ROOM = A4[1] - TOP_MARGIN - FOOT - 12 - 2 * mm
"""Height that a page has for its story; reportlab's frames pad by 6 points."""
LEAST_PICTURE, LARGEST_PICTURE = 62 * mm, 125 * mm


def build(examined: ExaminedImage, context: ReportContext) -> ReportObject:
    """Print findings, picture, algorithms and limits, or why there are none."""
    page = print_page(examined, context)
    ds = new_object(SOP_CLASS_UID, "pdf", examined, context)
    add(
        ds,
        Modality="DOC",
        ConversionType="WSD",
        SeriesDescription="AI report (PDF)",
        AcquisitionDateTime=None,
        BurnedInAnnotation="YES",
        SourceInstanceSequence=source_image(examined.source),
        DocumentTitle=pdf_page.TITLE,
        ConceptNameCodeSequence=coded(codes.DIAGNOSTIC_IMAGING_REPORT),
        VerificationFlag="UNVERIFIED",
        MIMETypeOfEncapsulatedDocument="application/pdf",
        EncapsulatedDocument=page + b"\0" * (len(page) % 2),
        EncapsulatedDocumentLength=len(page),
    )
    return write_object(ds, "pdf", examined.source)


def print_page(examined: ExaminedImage, context: ReportContext) -> bytes:
    """Lay the page out; the same findings give the same bytes.

    The picture takes the room that the words leave, so that all stands on one page;
    only a very long list of findings needs a second.
    """
    fonts.load()
    source, radiograph, findings = examined
    above = list(pdf_page.head(source, findings, context))
    below = list(pdf_page.body(source, radiograph, findings))
    if radiograph is not None and analysed(findings):
        left = ROOM - sum(map(_height, (*above, *below)))
        tall = min(LARGEST_PICTURE, max(LEAST_PICTURE, left))
        above += picture(radiograph, findings, (WIDTH, tall))
    buffer = BytesIO()
    page = SimpleDocTemplate(
        buffer,
        pagesize=A4,
        topMargin=TOP_MARGIN,
        bottomMargin=FOOT,
        leftMargin=SIDE_MARGIN - 6,
        rightMargin=SIDE_MARGIN - 6,
        title=pdf_page.TITLE,
        author=context.ae_title,
        lang="en",
        initialFontName=fonts.REGULAR,
        invariant=1,
    )

    def foot(canvas: Any, layout: Any) -> None:  # noqa: ANN401 - reportlab has no types
        _draw_foot(canvas, layout.page, text(source, "SOPInstanceUID"))

    page.build([*above, *below], onFirstPage=foot, onLaterPages=foot)
    return buffer.getvalue()


def _height(flowable: Flowable) -> float:
    height: float = flowable.wrap(WIDTH, ROOM)[1]
    return height + float(flowable.getSpaceBefore()) + float(flowable.getSpaceAfter())


def _draw_foot(canvas: Any, number: int, sop_instance_uid: str) -> None:  # noqa: ANN401 - as above
    """Put the notice on every page, with the image that the page is about."""
    canvas.saveState()
    canvas.setFillColor(RED)
    canvas.setFont(fonts.BOLD, 10)
    canvas.drawString(SIDE_MARGIN, 9.5 * mm, NOT_FOR_DIAGNOSIS)
    canvas.setFillColor(GREY)
    canvas.setFont(fonts.REGULAR, 6.5)
    canvas.drawString(SIDE_MARGIN, 6 * mm, f"Image {sop_instance_uid}")
    canvas.drawRightString(SIDE_MARGIN + WIDTH, 9.5 * mm, f"Page {number}")
    canvas.restoreState()
