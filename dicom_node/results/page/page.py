"""What a printed page says, above and below its picture."""

from collections.abc import Iterator

from pydicom.dataset import Dataset
from reportlab.lib.colors import Color
from reportlab.lib.units import mm
from reportlab.platypus import Flowable, HRFlowable, Spacer, Table

from dicom_node.domain.findings import Findings
from dicom_node.domain.identity import analysed
from dicom_node.domain.study import Radiograph
from dicom_node.formats.dicom.source import text
from dicom_node.results import words as say
from dicom_node.results.common import ReportContext, local_time
from dicom_node.results.page import fonts
from dicom_node.results.page.style import (
    BANNER,
    BODY,
    GREY,
    HEAD,
    RIGHT,
    SECTION,
    SMALL,
    WIDTH,
    ink,
    said,
    table,
)
from dicom_node.results.page.table import findings_table
from dicom_node.results.picture.panel import CALM, banner

TITLE = "AI reading of a chest radiograph"
NOT_EXCLUDED = (
    "A finding that is not detected is not excluded, and what the table does not name was "
    "not looked for. Sensitivity and specificity were measured on the models' test images; "
    "at another site they may differ."
)


def head(
    source: Dataset, findings: tuple[Findings, ...], context: ReportContext
) -> Iterator[Flowable]:
    """Say whose image this is, who read it when, and the result in a word."""
    made = local_time(source, context)
    by = f"{context.institution}, {context.ae_title}" if context.institution else context.ae_title
    stamp = [said(by, RIGHT), said(f"Made {made:%Y-%m-%d %H:%M:%S}", RIGHT)]
    yield table(
        [[said(TITLE, HEAD), stamp]],
        (120 * mm, 62 * mm),
        ("RIGHTPADDING", (0, 0), (-1, -1), 0),
    )
    yield HRFlowable(WIDTH, thickness=0.8, color=GREY, spaceBefore=1, spaceAfter=3)
    yield _patient(source)
    yield Spacer(1, 2 * mm)
    word, colour = _outcome(findings)
    yield table(
        [[said(word, BANNER)]],
        (WIDTH,),
        ("BACKGROUND", (0, 0), (-1, -1), colour),
        ("LEFTPADDING", (0, 0), (-1, -1), 8),
        ("TOPPADDING", (0, 0), (-1, -1), 3),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 6),
    )


def body(
    source: Dataset, radiograph: Radiograph | None, findings: tuple[Findings, ...]
) -> Iterator[Flowable]:
    """List findings, limits and algorithms."""
    yield from findings_table(findings)
    yield said("Limits", SECTION)
    limits = say.remarks(radiograph, findings)[:-1]  # the notice stands at the foot
    limits += [NOT_EXCLUDED] if any(one.findings for one in findings) else []
    limits += _unprinted(source)
    yield said(" ".join(one if one.endswith(".") else f"{one}." for one in limits), SMALL)
    yield said("Algorithms", SECTION)
    for number, one in enumerate(findings, 1):
        yield said(f"[{number}] {say.algorithm(one)}", SMALL)


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
    return table(rows, (16 * mm, 74 * mm, 26 * mm, 66 * mm))


def _outcome(findings: tuple[Findings, ...]) -> tuple[str, Color]:
    if not analysed(findings):
        return "NOT ANALYSED", ink(CALM)
    line = banner(findings)
    return line.text, ink(line.band or CALM)


def _unprinted(source: Dataset) -> list[str]:
    """Say that the page misses letters of the header, if it does."""
    shown = (person(text(source, "PatientName")), text(source, "PatientID"))
    count = sum(map(fonts.unprintable, shown))
    words = f"{count} characters of the patient's name or ID have no glyph here and are shown as ?."
    return [words] if count else []
