"""The table of findings on a printed page."""

from collections.abc import Iterator

from reportlab.lib.units import mm
from reportlab.platypus import Flowable

from dicom_node.domain.findings import Finding, Findings, Presence
from dicom_node.results import words as say
from dicom_node.results.page.pictures import ProbabilityScale
from dicom_node.results.page.style import BODY, RULE, SMALL, STRONG, ink, said, table
from dicom_node.results.picture.panel import shown
from dicom_node.results.picture.picture import Mark, marked

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
    ranked = sorted(_numbered(findings), key=lambda one: ORDER.index(one[1].finding.presence))
    rows: list[list[object]] = [[said(title, SMALL) for title in TITLES]]
    styles: list[tuple[object, ...]] = [_line(0)]
    for number, mark in ranked:
        if shown(mark.finding):
            styles.append(("BACKGROUND", (0, len(rows)), (0, len(rows)), ink(mark.colour)))
        rows.append(_row(mark.finding, number))
        more = _more(mark)
        if more:
            last = len(rows)
            styles += [("SPAN", (1, last), (-1, last)), ("TOPPADDING", (0, last), (-1, last), 0)]
            rows.append(["", said("; ".join(more), SMALL)])
        styles.append(_line(len(rows) - 1))
    if ranked:
        padded = ("LEFTPADDING", (1, 0), (1, -1), 4)
        yield table(rows, COLUMNS, padded, *styles, repeat=1)
        yield said(LEGEND, SMALL)


def _numbered(findings: tuple[Findings, ...]) -> Iterator[tuple[int, Mark]]:
    """Give each finding's mark with the number of its algorithm, 1 the first."""
    numbers = [number for number, one in enumerate(findings, 1) for _ in one.findings]
    yield from zip(numbers, marked(findings), strict=True)


def _line(row: int) -> tuple[object, ...]:
    return ("LINEBELOW", (0, row), (-1, row), 0.3, RULE)


def _row(finding: Finding, number: int) -> list[object]:
    found = finding.presence is not Presence.ABSENT
    style = STRONG if found else BODY
    point = finding.operating_point
    least = "" if point.measured else "≥"
    name = finding.code.meaning + (" - URGENT" if finding.urgent else "")
    odds, threshold = say.odds(finding)
    if finding.uncertainty is not None:
        odds += f" ± {say.number(finding.uncertainty, 2)}"
    return [
        "",
        said(f"{name} [{number}]", style),
        said(say.STATE[finding.presence], style),
        said(say.SIDE[finding.side] if found and say.sided(finding) else "", BODY),
        said(odds, style),
        ProbabilityScale(finding),
        said(
            f"{say.judged_at(finding)} {threshold}: "
            f"{least}{point.sensitivity:.2f}, {least}{point.specificity:.2f}",
            SMALL,
        ),
    ]


def _more(mark: Mark) -> list[str]:
    """Say what was measured, each by its letter in the picture, and the size."""
    written = (say.measurement(one).replace("mm2", "mm²") for one in mark.finding.measurements)
    measured = zip(mark.letters, written, strict=True)
    more = [f"{letter}: {one}" if letter else say.capital(one) for letter, one in measured]
    return more + ([f"Size: {mark.finding.size_class}"] if mark.finding.size_class else [])
