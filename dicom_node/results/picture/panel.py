"""The panel of words beside the picture."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from PIL import Image, ImageDraw

from dicom_node.domain.findings import Algorithm, Finding, Findings, Presence, Side
from dicom_node.domain.regions import region_of
from dicom_node.domain.study import Radiograph
from dicom_node.results import words as say
from dicom_node.results.colours import RGB
from dicom_node.results.common import NOT_FOR_DIAGNOSIS
from dicom_node.results.picture.frame import BACKGROUND
from dicom_node.results.picture.picture import Mark, marks_of
from dicom_node.results.picture.typeface import font, legible

WHITE: RGB = (245, 245, 245)
SOFT: RGB = (200, 204, 210)
QUIET: RGB = (150, 156, 165)
ALARM: RGB = (190, 50, 0)
FOUND: RGB = (150, 95, 0)
CALM: RGB = (44, 62, 80)
NOTICE: RGB = (240, 228, 66)
PAD = 18
APART = 2
"""More absent findings than these share one paragraph."""
SWATCH_ROOM = 26
SIZES = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.66, 0.62, 0.58, 0.55)
"""Tried in turn until the words fit."""
WIDTHS, READABLE = (400, 480, 560), 0.8
"""Of a panel beside a picture, and the size from which on a wider one is not needed."""


@dataclass(frozen=True, slots=True)
class PanelLine:
    """One paragraph: size in pixels, colours, space above."""

    text: str
    size: int
    colour: RGB
    above: int = 4
    band: RGB | None = None
    swatch: RGB | None = None


def draw_panel(
    radiograph: Radiograph, findings: tuple[Findings, ...], made: str, height: int
) -> Image.Image:
    """Draw the words as high as a picture, in a panel that is as wide as they need."""
    said = list(panel_lines(radiograph, findings, made))
    fitting = (width for width in WIDTHS if _needed(said, width, READABLE) <= height)
    return panel(radiograph, findings, made, next(fitting, WIDTHS[-1]), height)


def _needed(said: list[PanelLine], width: int, factor: float) -> int:
    """Give the height that words and notice take."""
    return sum(_lay_out(line, width, factor).height for line in said) + _foot(factor) + PAD


def _foot(factor: float) -> int:
    return round(24 * factor) + 2 * PAD


def panel(
    radiograph: Radiograph,
    findings: tuple[Findings, ...],
    made: str,
    width: int,
    height: int | None,
) -> Image.Image:
    """Draw the words; without a height it is as high as they need.

    The notice stands at the foot whatever the words need; what does not fit even
    at the smallest size is cut above it.
    """
    said = list(panel_lines(radiograph, findings, made))
    sizes = SIZES if height is not None else SIZES[:1]
    fitting = (size for size in sizes if height is None or _needed(said, width, size) <= height)
    factor = next(fitting, sizes[-1])
    blocks = [_lay_out(line, width, factor) for line in said]
    return _draw_blocks(blocks, (width, height or _needed(said, width, factor)), _foot(factor))


def caption(findings: tuple[Findings, ...], width: int) -> Image.Image:
    """Draw the legend that stands under a picture, with the notice."""
    blocks = [_lay_out(line, width, 1.0) for line in legend(findings)]
    foot = 20 + 2 * PAD
    return _draw_blocks(blocks, (width, sum(block.height for block in blocks) + foot), foot)


def legend(findings: tuple[Findings, ...]) -> Iterator[PanelLine]:
    """Say the result in a word, what is marked, what is not there, what was not read."""
    yield replace(banner(findings), size=22)
    named, absent = names(findings), []
    for mark in marks_of(findings):
        if mark.finding.presence is Presence.ABSENT:
            absent.append(named[id(mark.finding)].lower())
        else:
            yield _brief(mark, named[id(mark.finding)])
        pairs = zip(mark.letters, mark.finding.measurements, strict=True)
        lettered = [
            f"{letter}: {say.measurement(measurement)}" for letter, measurement in pairs if letter
        ]
        if lettered:
            yield PanelLine("; ".join(lettered), 18, SOFT, 2)
    if absent:
        yield PanelLine(f"Not detected: {', '.join(absent)}", 17, QUIET, 6)
    for each in findings:
        if each.not_analysed is not None:
            yield PanelLine(say.refusal(each), 17, QUIET, 6)


def names(findings: tuple[Findings, ...]) -> dict[int, str]:
    """Name each finding, by its id; what two algorithms look for gets the algorithm's name."""
    known = [(finding, each.algorithm.name) for each in findings for finding in each.findings]
    often = Counter(code for code, _ in {(finding.code.value, by) for finding, by in known})
    return {
        id(finding): f"{finding.code.meaning} ({by})"
        if often[finding.code.value] > 1
        else finding.code.meaning
        for finding, by in known
    }


def _brief(mark: Mark, name: str) -> PanelLine:
    """Say a marked finding in a line."""
    finding = mark.finding
    parts = [f"{name}: {say.STATE[finding.presence]}"]
    if finding.side is not Side.UNDETERMINED:
        parts.append(say.SIDE[finding.side])
    parts.append(f"probability {say.probability(finding)}")
    swatch = mark.colour if is_marked(finding) else None
    return PanelLine(", ".join(parts), 20, WHITE, 6, swatch=swatch)


def is_marked(finding: Finding) -> bool:
    """Say whether the picture marks the finding in its colour."""
    return region_of(finding) is not None or bool(finding.boxes)


def panel_lines(
    radiograph: Radiograph, findings: tuple[Findings, ...], made: str
) -> Iterator[PanelLine]:
    """Choose what is said, the most important first."""
    yield banner(findings)
    marks = marks_of(findings)
    absent = [mark for mark in marks if mark.finding.presence is Presence.ABSENT]
    bare = [mark for mark in absent if not mark.finding.measurements]
    together = bare if len(bare) > APART else []
    named, oriented = names(findings), radiograph.orientation
    sides = oriented is not None and oriented.shows_sides
    for mark in sorted(marks, key=lambda mark: mark.finding.presence is Presence.ABSENT):
        if mark not in together:
            yield from _about(mark, named[id(mark.finding)], sides)
    if together:
        listed = ", ".join(
            _absent_in_words(mark.finding, named[id(mark.finding)]) for mark in together
        )
        yield PanelLine(f"Not detected (probability, threshold): {listed}", 20, WHITE, 14)
    if not sides:
        yield PanelLine("Side not known: the image has no orientation", 18, SOFT, 12)
    notes = (note.removesuffix(".") for note in say.remarks(radiograph, findings)[:-1])
    yield PanelLine(". ".join(notes) + ".", 17, QUIET, 8)
    yield PanelLine("; ".join(_who(answer.algorithm) for answer in findings), 16, QUIET, 8)
    yield PanelLine(made, 16, QUIET, 4)


def _who(algorithm: Algorithm) -> str:
    weights = f", weights {algorithm.model_sha256[:12]}" if algorithm.model_sha256 else ""
    return f"{algorithm.name} {algorithm.version}{weights}"


def banner(findings: tuple[Findings, ...]) -> PanelLine:
    """Say the result in a word."""
    known = [finding for answer in findings for finding in answer.findings]
    if any(finding.urgent for finding in known):
        return PanelLine("URGENT", 44, WHITE, 0, ALARM)
    if any(finding.presence is Presence.PRESENT for finding in known):
        return PanelLine("FINDING", 36, WHITE, 0, FOUND)
    if any(finding.presence is Presence.UNDETERMINED for finding in known):
        return PanelLine("UNDETERMINED", 32, WHITE, 0, CALM)
    return PanelLine("No finding detected", 30, WHITE, 0, CALM)


def _about(mark: Mark, name: str, sides: bool) -> Iterator[PanelLine]:
    """Say all of one finding; that its side is unknown only where the image shows sides."""
    finding, (value, threshold) = mark.finding, say.probability_and_threshold(mark.finding)
    odds = f"Probability {value} (threshold {threshold}, {say.judged_at(finding)})"
    if finding.presence is Presence.ABSENT:
        yield PanelLine(f"{name}: not detected", 23, WHITE, 14)
        yield PanelLine(odds, 19, SOFT)
    else:
        swatch = mark.colour if is_marked(finding) else None
        yield PanelLine(f"{name}: {say.STATE[finding.presence]}", 28, WHITE, 16, swatch=swatch)
        placed = sides and swatch is not None and say.has_side(finding)
        if placed or finding.side is not Side.UNDETERMINED:
            yield PanelLine(f"Side: {say.SIDE[finding.side]}", 24, WHITE)
        yield PanelLine(odds, 22, SOFT)
    for letter, measurement in zip(mark.letters, finding.measurements, strict=True):
        said = say.capital(say.measurement(measurement))
        yield PanelLine(f"{letter}: {said}" if letter else said, 22, SOFT)
    if finding.size_class:
        yield PanelLine(f"Size: {finding.size_class}", 22, SOFT)
    if finding.uncertainty is not None:
        yield PanelLine(say.capital(say.uncertainty(finding.uncertainty)), 22, SOFT)


def _absent_in_words(finding: Finding, name: str) -> str:
    """Say an absent finding in few words."""
    value, threshold = say.probability_and_threshold(finding)
    return f"{name.lower()} {value} (<{threshold})"


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph as it will be drawn."""

    line: PanelLine
    size: int
    rows: tuple[str, ...]

    @property
    def height(self) -> int:
        """Pixels from the paragraph above to the one below."""
        inside = 2 * PAD if self.line.band else 0
        return self.line.above + leading(self.size) * len(self.rows) + inside


def leading(size: int) -> int:
    """Give the distance of two rows."""
    return round(size * 1.3)


def _draw_blocks(blocks: list[Block], size: tuple[int, int], foot: int) -> Image.Image:
    image = Image.new("RGB", size, BACKGROUND)
    canvas = ImageDraw.Draw(image)
    top = 0
    for block in blocks:
        if top + block.height > image.height - foot:
            break
        _draw(canvas, block, top, image.width)
        top += block.height
    face = font(_notice_size(image.width))
    at = (PAD, image.height - PAD)
    canvas.text(at, NOT_FOR_DIAGNOSIS, fill=NOTICE, font=face, anchor="ld")
    return image


def _notice_size(width: int) -> int:
    size = 26
    while size > 10 and font(size).getlength(NOT_FOR_DIAGNOSIS) > width - 2 * PAD:
        size -= 1
    return size


def _draw(canvas: ImageDraw.ImageDraw, block: Block, top: int, width: int) -> None:
    line, size = block.line, block.size
    left, y = PAD, top + line.above
    if line.band is not None:
        canvas.rectangle((0, top, width, y + leading(size) + PAD), fill=line.band)
        y += PAD // 2
    if line.swatch is not None:
        canvas.rectangle((left, y + size * 0.25, left + 16, y + size), fill=line.swatch)
        left += SWATCH_ROOM
    for row in block.rows:
        canvas.text((left, y), row, fill=line.colour, font=font(size))
        y += leading(size)


def _lay_out(line: PanelLine, width: int, factor: float) -> Block:
    size = round(line.size * factor)
    room = width - 2 * PAD - (SWATCH_ROOM if line.swatch else 0)
    rows: list[str] = []
    for word in legible(line.text).split():
        longer = f"{rows[-1]} {word}" if rows else word
        if rows and font(size).getlength(longer) <= room:
            rows[-1] = longer
        else:
            rows.append(word)
    return Block(line, size, tuple(rows))
