"""What a printed page says, above and below its picture."""

from collections.abc import Iterator

from pydicom.dataset import Dataset
from reportlab.lib.colors import Color
from reportlab.lib.units import mm
from reportlab.platypus import Flowable, HRFlowable, Spacer, Table

from dicom_node.domain.findings import Finding, Findings, Presence
from dicom_node.domain.identity import analysed
from dicom_node.domain.study import Radiograph
from dicom_node.formats.dicom.attributes import text
from dicom_node.results import words as say
from dicom_node.results.common import ReportContext, local_time
from dicom_node.results.page import fonts
from dicom_node.results.page.pictures import ProbabilityScale
from dicom_node.results.page.style import (
    BANNER,
    BODY,
    GREY,
    HEAD,
    RIGHT,
    RULE,
    SECTION,
    SMALL,
    STRONG,
    WIDTH,
    page_colour,
    paragraph,
    table,
)
from dicom_node.results.picture.panel import CALM, banner, is_marked
from dicom_node.results.picture.picture import Mark, marks_of

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
    stamp = [paragraph(by, RIGHT), paragraph(f"Made {made:%Y-%m-%d %H:%M:%S}", RIGHT)]
    yield table(
        [[paragraph(TITLE, HEAD), stamp]],
        (120 * mm, 62 * mm),
        ("RIGHTPADDING", (0, 0), (-1, -1), 0),
    )
    yield HRFlowable(WIDTH, thickness=0.8, color=GREY, spaceBefore=1, spaceAfter=3)
    yield _patient(source)
    yield Spacer(1, 2 * mm)
    word, colour = _outcome(findings)
    yield table(
        [[paragraph(word, BANNER)]],
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
    yield paragraph("Limits", SECTION)
    limits = say.remarks(radiograph, findings)[:-1]  # the notice stands at the foot
    limits += [NOT_EXCLUDED] if any(answer.findings for answer in findings) else []
    limits += _unprinted(source)
    yield paragraph(
        " ".join(limit if limit.endswith(".") else f"{limit}." for limit in limits), SMALL
    )
    yield paragraph("Algorithms", SECTION)
    for number, answer in enumerate(findings, 1):
        yield paragraph(f"[{number}] {say.algorithm(answer)}", SMALL)


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
    shown_fields = (
        ("Patient", person(text(source, "PatientName"))),
        ("Patient ID", text(source, "PatientID")),
        ("Born", day(text(source, "PatientBirthDate"))),
        ("Study of", day(text(source, "StudyDate"))),
        ("Sex", text(source, "PatientSex")),
        ("Accession number", text(source, "AccessionNumber")),
    )
    cells = [
        (paragraph(name, SMALL), paragraph(value or "-", BODY)) for name, value in shown_fields
    ]
    rows = [[*left, *right] for left, right in zip(cells[::2], cells[1::2], strict=True)]
    return table(rows, (16 * mm, 74 * mm, 26 * mm, 66 * mm))


def _outcome(findings: tuple[Findings, ...]) -> tuple[str, Color]:
    if not analysed(findings):
        return "NOT ANALYSED", page_colour(CALM)
    line = banner(findings)
    return line.text, page_colour(line.band or CALM)


def _unprinted(source: Dataset) -> list[str]:
    """Say that the page misses letters of the header, if it does."""
    is_marked = (person(text(source, "PatientName")), text(source, "PatientID"))
    count = sum(map(fonts.unprintable, is_marked))
    words = f"{count} characters of the patient's name or ID have no glyph here and are shown as ?."
    return [words] if count else []


COLUMNS = (3 * mm, 50 * mm, 26 * mm, 22 * mm, 17 * mm, 24 * mm, 40 * mm)
TITLES = ("", "Finding", "Result", "Side", "Probability", "", "Operating point: sens., spec.")
ORDER = (Presence.PRESENT, Presence.UNDETERMINED, Presence.ABSENT)
LEGEND = (
    "Scale: probability from 0 to 1; dark from the operating point's threshold on; the dot is "
    "this image. Sens., spec.: sensitivity and specificity there. "
    "±: how far the models of an ensemble deviate. [n]: the algorithm. "
    "Coloured: marked in the picture."
)


def findings_table(findings: tuple[Findings, ...]) -> Iterator[Flowable]:
    """List what was looked for, what is present first; nothing for no findings.

    What was measured stands below its finding over the whole width, with the letter
    that it has in the picture.
    """
    ranked = sorted(_numbered(findings), key=lambda row: ORDER.index(row[1].finding.presence))
    rows: list[list[object]] = [[paragraph(title, SMALL) for title in TITLES]]
    styles: list[tuple[object, ...]] = [_line(0)]
    for number, mark in ranked:
        if is_marked(mark.finding):
            styles.append(("BACKGROUND", (0, len(rows)), (0, len(rows)), page_colour(mark.colour)))
        rows.append(_row(mark.finding, number))
        more = _more(mark)
        if more:
            last = len(rows)
            styles += [("SPAN", (1, last), (-1, last)), ("TOPPADDING", (0, last), (-1, last), 0)]
            rows.append(["", paragraph("; ".join(more), SMALL)])
        styles.append(_line(len(rows) - 1))
    if ranked:
        padded = ("LEFTPADDING", (1, 0), (1, -1), 4)
        yield table(rows, COLUMNS, padded, *styles, repeat=1)
        yield paragraph(LEGEND, SMALL)


def _numbered(findings: tuple[Findings, ...]) -> Iterator[tuple[int, Mark]]:
    """Give each finding's mark with the number of its algorithm, 1 the first."""
    numbers = [number for number, answer in enumerate(findings, 1) for _ in answer.findings]
    yield from zip(numbers, marks_of(findings), strict=True)


def _line(row: int) -> tuple[object, ...]:
    return ("LINEBELOW", (0, row), (-1, row), 0.3, RULE)


def _row(finding: Finding, number: int) -> list[object]:
    found = finding.presence is not Presence.ABSENT
    style = STRONG if found else BODY
    point = finding.operating_point
    least = "" if point.measured else "≥"
    name = finding.code.meaning + (" - URGENT" if finding.urgent else "")
    odds, threshold = say.probability_and_threshold(finding)
    if finding.uncertainty is not None:
        odds += f" ± {say.number(finding.uncertainty, 2)}"
    return [
        "",
        paragraph(f"{name} [{number}]", style),
        paragraph(say.STATE[finding.presence], style),
        paragraph(say.SIDE[finding.side] if found and say.has_side(finding) else "", BODY),
        paragraph(odds, style),
        ProbabilityScale(finding),
        paragraph(
            f"{say.judged_at(finding)} {threshold}: "
            f"{least}{point.sensitivity:.2f}, {least}{point.specificity:.2f}",
            SMALL,
        ),
    ]


def _more(mark: Mark) -> list[str]:
    """Say what was measured, each by its letter in the picture, and the size."""
    written = (
        say.measurement(measurement).replace("mm2", "mm²")
        for measurement in mark.finding.measurements
    )
    measured = zip(mark.letters, written, strict=True)
    more = [f"{letter}: {words}" if letter else say.capital(words) for letter, words in measured]
    return more + ([f"Size: {mark.finding.size_class}"] if mark.finding.size_class else [])
