"""Typefaces for printed text in any script.

The faces come with the software (`typefaces/`), so a page looks the same on every
machine; each PDF embeds the glyphs that it uses. A character is set in the first
face that has it.
"""

import unicodedata
from collections.abc import Iterator
from functools import cache
from itertools import groupby
from pathlib import Path
from xml.sax.saxutils import escape

from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont

FOLDER = Path(__file__).with_name("typefaces")
REGULAR = "NotoSans-Regular"
BOLD = "NotoSans-Bold"
OTHER_SCRIPTS = ("NotoSansThai-Regular", "DroidSansFallback")
"""Tried after the main face; they have one weight."""
MISSING = "?"
"""Stands for a character that no face has."""


@cache
def face(name: str) -> TTFont:
    """Load a face and make it known to reportlab under its file's name."""
    font = TTFont(name, FOLDER / f"{name}.ttf")
    pdfmetrics.registerFont(font)
    return font


def load() -> None:
    """Make all faces known, before a style names them."""
    for name in (REGULAR, BOLD, *OTHER_SCRIPTS):
        face(name)


def has_glyph(name: str, character: str) -> bool:
    """Say whether a face can show a character."""
    return ord(character) in face(name).face.charToGlyph


def face_for(character: str, main: str = REGULAR) -> str:
    """Name the first face that has the character; an empty string: none has."""
    for name in (main, *OTHER_SCRIPTS):
        if has_glyph(name, character):
            return name
    return ""


def runs(text: str, main: str = REGULAR) -> Iterator[tuple[str, str]]:
    """Cut a text into runs of one face: (face, run).

    Composed first, for a face may have a letter with its accent only as one glyph;
    control characters are left out.
    """
    composed = unicodedata.normalize("NFC", text)
    shown = [
        character for character in composed if unicodedata.category(character) not in ("Cc", "Cf")
    ]
    found = [(face_for(character, main), character) for character in shown]
    sure = [(name or main, character if name else MISSING) for name, character in found]
    for name, run in groupby(sure, lambda pair: pair[0]):
        yield name, "".join(character for _, character in run)


def markup(text: str, main: str = REGULAR) -> str:
    """Write a text as reportlab's markup, each run in its face."""
    return "".join(
        escape(run) if name == main else f'<font name="{name}">{escape(run)}</font>'
        for name, run in runs(text, main)
    )


def unprintable(text: str) -> int:
    """Count the characters that no face has."""
    composed = unicodedata.normalize("NFC", text)
    printed = (
        character for character in composed if unicodedata.category(character) not in ("Cc", "Cf")
    )
    return sum(not face_for(character) for character in printed)
