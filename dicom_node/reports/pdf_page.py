"""What a printed page says, above and below its picture."""

from collections.abc import Iterator

from pydicom.dataset import Dataset
from reportlab.lib.colors import Color, HexColor
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.platypus import Flowable, HRFlowable, Paragraph, Spacer, Table, TableStyle

from dicom_node.domain.findings import Finding, Findings, Presence
from dicom_node.domain.study import Radiograph
from dicom_node.reports import fonts
from dicom_node.reports import words as say
from dicom_node.reports.common import ReportContext, analysed, local_time
from dicom_node.reports.panel import CALM, banner
from dicom_node.reports.pdf_picture import ProbabilityScale
from dicom_node.reports.source import text

TITLE = "AI reading of a chest radiograph"
WIDTH = 182 * mm
GREY, RED, RULE = HexColor("#5A626B"), HexColor("#BE3200"), HexColor("#C8CDD2")
BODY = ParagraphStyle("body", fontName=fonts.REGULAR, fontSize=8.5, leading=11)
SMALL = ParagraphStyle("small", parent=BODY, fontSize=7, leading=9, textColor=GREY)
STRONG = ParagraphStyle("strong", parent=BODY, fontName=fonts.BOLD)
HEAD = ParagraphStyle("head", parent=STRONG, fontSize=15, leading=19)
RIGHT = ParagraphStyle("right", parent=SMALL, alignment=2)
BANNER = ParagraphStyle("banner", parent=STRONG, fontSize=13, leading=17, textColor="#FFFFFF")
SECTION = ParagraphStyle("section", parent=STRONG, spaceBefore=3)
NOT_EXCLUDED = (
    "A finding that is not detected is not excluded, and what the table does not name was "
    "not looked for. Sensitivity and specificity were measured on the models' test images; "
    "at another site they may differ."
)
COLUMNS = (54 * mm, 21 * mm, 22 * mm, 19 * mm, 24 * mm, 42 * mm)
ORDER = (Presence.PRESENT, Presence.UNDETERMINED, Presence.ABSENT)


def head(
    source: Dataset, findings: tuple[Findings, ...], context: ReportContext
) -> Iterator[Flowable]:
    """Say whose image this is, who read it when, and the result in a word."""
    made = local_time(source, context)
    by = f"{context.institution}, {context.ae_title}" if context.institution else context.ae_title
    stamp = [said(by, RIGHT), said(f"Made {made:%Y-%m-%d %H:%M:%S}", RIGHT)]
    yield _table(
        [[said(TITLE, HEAD), stamp]],
        (120 * mm, 62 * mm),
        ("RIGHTPADDING", (0, 0), (-1, -1), 0),
    )
    yield HRFlowable(WIDTH, thickness=0.8, color=GREY, spaceBefore=1, spaceAfter=3)
    yield _patient(source)
    yield Spacer(1, 2 * mm)
    word, colour = _outcome(findings)
    yield _table(
        [[said(word, BANNER)]],
        (WIDTH,),
        ("BACKGROUND", (0, 0), (-1, -1), colour),
        ("LEFTPADDING", (0, 0), (-1, -1), 8),
        ("TOPPADDING", (0, 0), (-1, -1), 2),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 5),
    )


def body(
    source: Dataset, radiograph: Radiograph | None, findings: tuple[Findings, ...]
) -> Iterator[Flowable]:
    """List findings, limits and algorithms."""
    known = [finding for one in findings for finding in one.findings]
    if known:
        yield _findings(sorted(known, key=lambda one: ORDER.index(one.presence)))
        yield said(
            "Scale: probability from 0 to 1; dark from the operating point's threshold on; "
            "the dot is this image. Sens., spec.: sensitivity and specificity there. "
            "±: how far the models of an ensemble deviate.",
            SMALL,
        )
    yield said("Limits", SECTION)
    limits = say.remarks(radiograph, findings)[:-1]  # the notice stands at the foot
    limits += [NOT_EXCLUDED] if known else []
    limits += _unprinted(source)
    for limit in limits:
        yield said(limit, SMALL)
    yield said("Algorithms", SECTION)
    for one in findings:
        yield said(say.algorithm(one), SMALL)


def said(line: str, style: ParagraphStyle) -> Paragraph:
    """Make a paragraph of a text in any script."""
    return Paragraph(fonts.markup(line, style.fontName), style)


def person(name: str) -> str:
    """Write a PN value for a reader: its alphabetic and ideographic groups (PS3.5 6.2.1)."""
    groups = [[part.strip() for part in group.split("^")] for group in name.split("=")[:2]]
    alphabetic = ", ".join(filter(None, (groups[0][0], " ".join(filter(None, groups[0][1:])))))
    ideographic = " ".join(filter(None, groups[1])) if len(groups) > 1 else ""
    if not alphabetic or not ideographic:
        return alphabetic or ideographic or "-"
    return f"{alphabetic} ({ideographic})"


def day(date: str) -> str:
    """Write a DA value with hyphens; what is none stays as it is."""
    whole = len(date) == 8 and date.isdecimal()
    return f"{date[:4]}-{date[4:6]}-{date[6:]}" if whole else date or "-"


def _patient(source: Dataset) -> Table:
    """Name patient and study: a printed page must not get lost."""
    told = (
        ("Patient", person(text(source, "PatientName"))),
        ("Patient ID", text(source, "PatientID")),
        ("Born", day(text(source, "PatientBirthDate"))),
        ("Study of", day(text(source, "StudyDate"))),
        ("Sex", text(source, "PatientSex")),
        ("Accession number", text(source, "AccessionNumber")),
    )
    cells = [(said(name, SMALL), said(value or "-", BODY)) for name, value in told]
    rows = [[*left, *right] for left, right in zip(cells[::2], cells[1::2], strict=True)]
    return _table(rows, (16 * mm, 82 * mm, 26 * mm, 58 * mm))


def _outcome(findings: tuple[Findings, ...]) -> tuple[str, Color]:
    if not analysed(findings):
        return "NOT ANALYSED", Color(*(part / 255 for part in CALM))
    line = banner(findings)
    return line.text, Color(*(part / 255 for part in line.band or CALM))


def _findings(known: list[Finding]) -> Table:
    titles = ("Finding", "Result", "Side", "Probability", "", "Operating point: sens., spec.")
    rows: list[list[object]] = [[said(title, SMALL) for title in titles]]
    rows += [_row(finding) for finding in known]
    return _table(
        rows,
        COLUMNS,
        ("LINEBELOW", (0, 0), (-1, -1), 0.3, RULE),
        ("SPAN", (3, 0), (4, 0)),
        repeat=1,
    )


def _row(finding: Finding) -> list[object]:
    found = finding.presence is not Presence.ABSENT
    style = STRONG if found else BODY
    point = finding.operating_point
    more = [say.capital(say.measurement(one)) for one in finding.measurements]
    more += [f"Size: {finding.size_class}"] if finding.size_class else []
    name = finding.code.meaning + (" - URGENT" if finding.urgent else "")
    least = "" if point.measured else "≥"
    odds = say.probability(finding)
    if finding.uncertainty is not None:
        odds += f" ± {say.number(finding.uncertainty, 2)}"
    return [
        [said(name, style), *(said("; ".join(some), SMALL) for some in (more,) if some)],
        said(say.STATE[finding.presence], style),
        said(say.SIDE[finding.side] if found and say.sided(finding) else "", BODY),
        said(odds, style),
        ProbabilityScale(finding),
        said(
            f"{point.name.replace('_', ' ')} {point.threshold:.2g}: "
            f"{least}{point.sensitivity:.2f}, {least}{point.specificity:.2f}",
            SMALL,
        ),
    ]


def _unprinted(source: Dataset) -> list[str]:
    """Say that the page misses letters of the header, if it does."""
    shown = (person(text(source, "PatientName")), text(source, "PatientID"))
    count = sum(map(fonts.unprintable, shown))
    words = f"{count} characters of the patient's name or ID have no glyph here and are shown as ?."
    return [words] if count else []


def _table(
    rows: list[list[object]],
    widths: tuple[float, ...],
    *styles: tuple[object, ...],
    repeat: int = 0,
) -> Table:
    basic = (
        ("FONTNAME", (0, 0), (-1, -1), fonts.REGULAR),
        ("VALIGN", (0, 0), (-1, -1), "MIDDLE"),
        ("LEFTPADDING", (0, 0), (-1, -1), 0),
        ("RIGHTPADDING", (0, 0), (-1, -1), 4),
        ("TOPPADDING", (0, 0), (-1, -1), 1),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 1.5),
    )
    table = Table(rows, colWidths=widths, repeatRows=repeat)
    table.setStyle(TableStyle([*basic, *styles]))
    return table
