"""A document as PDF."""

from collections.abc import Iterator
from io import BytesIO

from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    CondPageBreak,
    Flowable,
    LongTable,
    PageBreak,
    Paragraph,
    SimpleDocTemplate,
    Spacer,
    TableStyle,
)

from dicom_node.commands.conformance.document import Document, Section, Table
from dicom_node.results.page import fonts

MARGIN = 17 * mm
WIDTH = A4[0] - 2 * MARGIN - 12

INK, LINE, SHADE = HexColor("#1c2530"), HexColor("#c9d1da"), HexColor("#eef2f6")
ROOM, LITTLE_ROOM = 70 * mm, 30 * mm
"""Below a chapter's heading, or another; with less left it starts a new page."""
WIDEST_WORD, PADDING = 200.0, 8.0
"""Points; a longer word is cut."""


def page(document: Document) -> bytes:
    """Lay the document out on A4; the same document gives the same bytes."""
    fonts.load()
    buffer = BytesIO()
    paper = SimpleDocTemplate(
        buffer,
        pagesize=A4,
        leftMargin=MARGIN,
        rightMargin=MARGIN,
        topMargin=MARGIN,
        bottomMargin=18 * mm,
        title=document.title,
        invariant=1,
    )

    def foot(canvas: Canvas, _: SimpleDocTemplate) -> None:
        canvas.setFont(fonts.REGULAR, 7.5)
        canvas.setFillColor(HexColor("#667788"))
        canvas.drawString(MARGIN, 10 * mm, document.title)
        canvas.drawRightString(A4[0] - MARGIN, 10 * mm, str(canvas.getPageNumber()))

    paper.build(list(_story(document)), onFirstPage=foot, onLaterPages=foot)
    return buffer.getvalue()


def _style(
    size: float, *, bold: bool = False, before: float = 0, after: float = 2
) -> ParagraphStyle:
    return ParagraphStyle(
        f"{size}{bold}{before}",
        fontName=fonts.BOLD if bold else fonts.REGULAR,
        fontSize=size,
        leading=size * 1.35,
        textColor=INK,
        spaceBefore=before,
        spaceAfter=after,
        splitLongWords=1,
    )


BODY, SMALL = _style(9, after=4), _style(7.5, after=0)
STRONG = _style(7.5, bold=True, after=0)
TITLE, CAPTION = _style(22, bold=True, after=10), _style(8.5, bold=True, before=4)
HEADS = {1: _style(15, bold=True, before=14, after=6), 2: _style(12, bold=True, before=8, after=4)}
LOWER = _style(10, bold=True, before=6, after=3)


def _said(text: str, style: ParagraphStyle) -> Flowable:
    return Paragraph(fonts.markup(text, style.fontName), style)


def _story(document: Document) -> Iterator[Flowable]:
    yield Spacer(1, 30 * mm)
    yield _said(document.title, TITLE)
    for line in document.cover:
        yield _said(line, BODY)
    yield Spacer(1, 10 * mm)
    every = tuple(document.numbered())
    for number, depth, section in every:
        if depth <= 2:
            yield _said(f"{'    ' * (depth - 1)}{number}  {section.title}", SMALL)
    yield PageBreak()
    for number, depth, section in every:
        yield from _section(number, depth, section)


def _section(number: str, depth: int, section: Section) -> Iterator[Flowable]:
    yield CondPageBreak(ROOM if depth == 1 else LITTLE_ROOM)
    yield _said(f"{number} {section.title}", HEADS.get(depth, LOWER))
    for content in section.content:
        if isinstance(content, Table):
            if content.title:
                yield CondPageBreak(LITTLE_ROOM)
                yield _said(content.title, CAPTION)
            yield _table(content)
            yield Spacer(1, 3 * mm)
        else:
            yield _said(content, BODY)


def _table(table: Table) -> Flowable:
    cells = [[_said(cell, STRONG) for cell in table.head]]
    cells += [[_said(cell, SMALL) for cell in row] for row in table.rows]
    return LongTable(
        cells,
        colWidths=_widths(table),
        repeatRows=1,
        hAlign="LEFT",
        style=TableStyle(
            [
                ("GRID", (0, 0), (-1, -1), 0.4, LINE),
                ("BACKGROUND", (0, 0), (-1, 0), SHADE),
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("LEFTPADDING", (0, 0), (-1, -1), 3),
                ("RIGHTPADDING", (0, 0), (-1, -1), 3),
                ("TOPPADDING", (0, 0), (-1, -1), 1.5),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 2.5),
            ]
        ),
    )


def _widths(table: Table) -> list[float]:
    """Give each column room for its longest word, and the rest by its longest text."""
    columns = list(zip(table.head, *table.rows, strict=True))
    least = [
        max(_width(word) for cell in column for word in [*cell.split(), ""]) for column in columns
    ]
    most = [max(_width(cell) for cell in column) for column in columns]
    least = [min(width, WIDEST_WORD) + PADDING for width in least]
    wanted = [
        max(0.0, min(width, WIDTH) + PADDING - low) for width, low in zip(most, least, strict=True)
    ]
    left = WIDTH - sum(least)
    if left < 0:
        return [WIDTH * width / sum(least) for width in least]
    if not any(wanted):
        return [width + left / len(least) for width in least]
    return [low + left * want / sum(wanted) for low, want in zip(least, wanted, strict=True)]


def _width(text: str) -> float:
    return float(stringWidth(text, fonts.BOLD, SMALL.fontSize))
