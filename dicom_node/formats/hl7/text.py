"""HL7 v2 ER7 text: escaping, fields, names, times and character sets.

HL7 v2.5.1 chapter 2 (2.7 escape sequences, 2.15.9.18 MSH-18, 2A data types).
"""

import re
from collections.abc import Iterable

from dicom_node.domain.errors import BadSettings
from dicom_node.domain.findings import CodedConcept

CODECS = {
    "ASCII": "ascii",
    **{f"8859/{part}": f"iso8859_{part}" for part in (1, 2, 3, 4, 5, 6, 7, 8, 9, 15)},
    "UNICODE UTF-8": "utf_8",
    "GB 18030-2000": "gb18030",
}
"""HL7 table 0211: those in which a message can be framed by MLLP and parsed bytewise."""
# the backslash first: the others bring new ones
ESCAPES = (("\\", "\\E\\"), ("|", "\\F\\"), ("^", "\\S\\"), ("&", "\\T\\"), ("~", "\\R\\"))
BREAK = "\\.br\\"
AROUND = b"\r\n \t\0\xef\xbb\xbf"
"""What careless senders put around blocks and before MSH: white space, a byte order mark."""
DATE = re.compile(r"(\d{4})(\d{2})(\d{2})")
TIME = re.compile(r"(\d{2})(?:(\d{2})(?:(\d{2})(?:\.\d+)?)?)?")


def codec(charset: str) -> str:
    """Give Python's name of an MSH-18 value; raises BadSettings for another."""
    if charset not in CODECS:
        known = ", ".join(CODECS)
        raise BadSettings(f"HL7 charset {charset!r} is not known; use one of: {known}")
    return CODECS[charset]


def escaped(text: str) -> str:
    """Escape one value; line breaks become BREAK, other controls vanish."""
    for special, escape in ESCAPES:
        text = text.replace(special, escape)
    text = re.sub(r"\r\n|\r|\n", lambda _: BREAK, text)
    return "".join(character for character in text if character.isprintable())


def segment(name: str, fields: dict[int, str]) -> str:
    """Write a segment; `fields` holds finished fields by number."""
    last = max(fields, default=0)
    return "|".join((name, *(fields.get(number, "") for number in range(1, last + 1))))


def components(*values: str) -> str:
    """Join escaped components, leaving empty ones at the end out."""
    return "^".join(escaped(value) for value in values).rstrip("^")


def coded(concept: CodedConcept) -> str:
    """Write a coded element (CWE)."""
    return components(concept.value, concept.meaning, concept.scheme)


def message(segments: Iterable[str]) -> str:
    """Join segments; each ends in CR alone."""
    return "".join(f"{segment}\r" for segment in segments)


def date(text: str) -> str:
    """Normalise a DICOM date, old forms too (1993.02.24); else give nothing."""
    found = DATE.fullmatch(re.sub(r"[.\-/ ]", "", text))
    if found is None:
        return ""
    _, month, day = (int(part) for part in found.groups())
    return found.group() if 1 <= month <= 12 and 1 <= day <= 31 else ""


def time(text: str) -> str:
    """Normalise a DICOM time, old forms too (10:11:12); else give nothing."""
    found = TIME.fullmatch(text.replace(":", "").strip())
    if found is None:
        return ""
    parts = [part for part in found.groups() if part is not None]
    # HHMM is the shortest time that a TS may have behind its date
    parts += ["00"] if len(parts) == 1 else []
    limits = zip(parts, (23, 59, 60), strict=False)
    return "".join(parts) if all(int(part) <= limit for part, limit in limits) else ""


def person(name: str, charset: str) -> str:
    """Turn a DICOM person name (VR PN) into XPN repetitions.

    Each component group becomes one repetition with its representation code
    (XPN-8: A, I, P); one that the receiver's character set cannot hold is left
    out, unless it is the only one. Prefix and suffix change places.
    """
    groups = [group for group in zip("AIP", name.split("="), strict=False) if group[1].strip("^ ")]
    fit = [group for group in groups if _fits(group[1], charset)] or groups[:1]
    several = len(groups) > 1
    return "~".join(_xpn(text, letter if several else "") for letter, text in fit)


def _fits(text: str, charset: str) -> bool:
    try:
        text.encode(codec(charset))
    except UnicodeError:
        return False
    return True


def _xpn(text: str, representation: str) -> str:
    parts = [part.strip() for part in text.split("^")] + [""] * 5
    family, given, middle, prefix, suffix = parts[:5]
    kind = "L" if representation else ""
    return components(family, given, middle, suffix, prefix, "", kind, representation)
