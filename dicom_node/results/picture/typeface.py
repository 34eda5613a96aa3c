"""The letters that pictures and panels are written in."""

import unicodedata
from functools import cache

from PIL import ImageFont

SPELT = {"≥": ">=", "≤": "<=", "–": "-", "—": "-", "×": "x", "ß": "ss", "’": "'"}
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@cache
def font(size: int) -> Font:
    """Give the TrueType face that comes with Pillow."""
    return ImageFont.load_default(size)


def legible(text: str) -> str:
    """Spell a text in the letters that the face has: ASCII."""
    for sign, spelt in SPELT.items():
        text = text.replace(sign, spelt)
    bare = (c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return "".join(c if c.isascii() else "?" for c in bare)
