"""How a printed page is set: widths, colours, paragraphs, tables."""

from reportlab.lib.colors import Color, HexColor
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.platypus import Paragraph, Table, TableStyle

from dicom_node.results.colours import RGB
from dicom_node.results.page import fonts

WIDTH = 182 * mm
GREY, RED, RULE = HexColor("#5A626B"), HexColor("#BE3200"), HexColor("#C8CDD2")
BODY = ParagraphStyle("body", fontName=fonts.REGULAR, fontSize=8.5, leading=11)
SMALL = ParagraphStyle("small", parent=BODY, fontSize=7, leading=9, textColor=GREY)
STRONG = ParagraphStyle("strong", parent=BODY, fontName=fonts.BOLD)
HEAD = ParagraphStyle("head", parent=STRONG, fontSize=15, leading=19)
RIGHT = ParagraphStyle("right", parent=SMALL, alignment=2)
BANNER = ParagraphStyle("banner", parent=STRONG, fontSize=13, leading=17, textColor="#FFFFFF")
SECTION = ParagraphStyle("section", parent=STRONG, spaceBefore=3)


def paragraph(line: str, style: ParagraphStyle) -> Paragraph:
    """Make a paragraph of a text in any script."""
    return Paragraph(fonts.markup(line, style.fontName), style)


def page_colour(colour: RGB) -> Color:
    """Turn a colour of the picture into one of the page."""
    return Color(*(part / 255 for part in colour))


def table(
    rows: list[list[object]],
    widths: tuple[float, ...],
    *styles: tuple[object, ...],
    repeat: int = 0,
) -> Table:
    """Lay rows of flowables out, close to each other."""
    basic = (
        ("FONTNAME", (0, 0), (-1, -1), fonts.REGULAR),
        ("VALIGN", (0, 0), (-1, -1), "MIDDLE"),
        ("LEFTPADDING", (0, 0), (-1, -1), 0),
        ("RIGHTPADDING", (0, 0), (-1, -1), 4),
        ("TOPPADDING", (0, 0), (-1, -1), 1),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 1.5),
    )
    made = Table(rows, colWidths=widths, repeatRows=repeat)
    made.setStyle(TableStyle([*basic, *styles]))
    return made
