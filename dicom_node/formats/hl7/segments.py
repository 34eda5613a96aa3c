"""HL7 v2 bytes as segments with fields (hl7apy).

HL7 v2.5.1 chapter 2. Senders are loose, so only the segments that are wanted are
parsed, each by itself and by the names of v2.5.1, which keeps the numbers of the
older versions; unknown segments (Z...) and fields are passed over.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.exceptions import HL7apyException
from hl7apy.parser import parse_message, parse_segment

from dicom_node.domain.errors import GiveUp
from dicom_node.domain.exchange.orders import Envelope, Fault, MessageRefused
from dicom_node.formats.hl7.text import AROUND, CODECS

READABLE = CODECS | {
    "ISO IR14": "shift_jis",
    "ISO IR87": "iso2022_jp",
    "ISO IR159": "iso2022_jp_1",
    "KS X 1001": "euc_kr",
    "BIG-5": "big5",
    "UNICODE": "utf_8",
}
"""HL7 table 0211: also what is decoded before it is searched for separators."""
LARGEST_SEGMENT = 8192
LARGEST_PARSED = 65536
"""Characters of wanted segments: parsing more would hold the listener up for seconds."""
NULL = '""'
"""Delete the value (HL7 2.5.3): here the same as not known."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment: its name, and fields by number, each a tuple of repetitions."""

    name: str
    fields: dict[int, tuple[str, ...]]
    separators: str
    """MSH-1 and MSH-2: field, component, repetition, escape, subcomponent."""

    def text(self, field: int, component: int = 1, repetition: int = 0) -> str:
        """Give one component's first subcomponent, unescaped and stripped; or nothing."""
        repetitions = self.fields.get(field, ())
        if repetition >= len(repetitions):
            return ""
        parts = repetitions[repetition].split(self.separators[1])
        if component > len(parts):
            return ""
        value = parts[component - 1].split(self.separators[4])[0].strip()
        return "" if value == NULL else _unescaped(value, self.separators)

    def repetitions(self, field: int) -> int:
        """Say how often a field is repeated."""
        return len(self.fields.get(field, ()))


def envelope_of(message: bytes) -> Envelope:
    """Read MSH from the raw bytes; raises ValueError when there is none."""
    lines = _lines(message.lstrip(AROUND).decode("latin-1"))
    first = next(lines, "")
    if not first.startswith("MSH") or len(first) < 8:
        raise ValueError("the message does not start with an MSH segment")
    # MSH-1 is the separator itself, so the fields of MSH count from one more
    fields = ["", *first.split(first[3])]
    component = first[4]

    def field(number: int) -> str:
        return fields[number].strip() if number < len(fields) else ""

    kind = [*field(9).split(component), ""]
    return Envelope(
        control_id=field(10),
        message_type=kind[0],
        trigger=kind[1],
        processing_id=field(11).split(component)[0],
        version=field(12).split(component)[0],
        sender=(field(3), field(4)),
        receiver=(field(5), field(6)),
        charset=field(18).split(first[5])[0],
        accept=field(15),
        application=field(16),
        separators=_separators(first),
    )


def segments_of(message: bytes, envelope: Envelope, wanted: Collection[str]) -> list[Segment]:
    """Parse the wanted segments in their order; raises MessageRefused."""
    separators = envelope.separators
    if not separators:
        raise MessageRefused(Fault("AE", 102, "MSH-2 does not name four separators", field=2))
    lines = list(_lines(_decoded(message.lstrip(AROUND), envelope.charset)))
    chosen = [line for line in lines if line.split(separators[0])[0].strip() in wanted]
    if sum(map(len, chosen)) > LARGEST_PARSED or any(
        len(line) > LARGEST_SEGMENT for line in chosen
    ):
        raise MessageRefused(Fault("AE", 102, "a segment is too long to be processed"))
    counts: dict[str, int] = {}
    parsed = []
    for line in chosen:
        name = line.split(separators[0])[0].strip()
        counts[name] = counts.get(name, 0) + 1
        parsed.append(_parsed(line.strip(), name, counts[name], separators))
    return parsed


def _separators(header: str) -> str:
    """Give MSH-1 and the four of MSH-2, those that a sender left out as usual.

    Nothing where they cannot be told apart.
    """
    given = header[4:].split(header[3])[0][:4]
    separators = header[3] + given + "^~\\&"[len(given) :]
    sound = len(set(separators)) == 5 and not any(separator.isalnum() for separator in separators)
    return separators if sound else ""


def _parsed(line: str, name: str, sequence: int, separators: str) -> Segment:
    field, component, repetition, escape, subcomponent = tuple(separators)
    characters = {
        "SEGMENT": "\r",
        "GROUP": "\r",
        "FIELD": field,
        "COMPONENT": component,
        "REPETITION": repetition,
        "ESCAPE": escape,
        "SUBCOMPONENT": subcomponent,
    }
    try:
        segment: Any = parse_segment(
            line,
            version="2.5.1",
            encoding_chars=characters,
            validation_level=VALIDATION_LEVEL.TOLERANT,
        )
        fields: dict[int, tuple[str, ...]] = {}
        for child in segment.children:
            number = (child.name or "").rpartition("_")[2]
            if number.isdecimal():
                known = fields.get(int(number), ())
                fields[int(number)] = (*known, child.to_er7(characters))
    except HL7apyException:
        # its text quotes the segment, so a patient
        fault = Fault("AE", 102, "the segment cannot be parsed", name, sequence)
        raise MessageRefused(fault) from None
    return Segment(name, fields, separators)


def _decoded(message: bytes, charset: str) -> str:
    """Decode by MSH-18; without one by what fits, for senders forget it."""
    if charset in ("", "ASCII"):
        try:
            return message.decode("utf-8")
        except UnicodeDecodeError:
            return message.decode("latin-1")
    if charset not in READABLE:
        raise MessageRefused(Fault("AE", 103, "character set not supported", field=18))
    try:
        return message.decode(READABLE[charset])
    except UnicodeDecodeError:
        fault = Fault("AE", 102, "text does not fit the character set", field=18)
        raise MessageRefused(fault) from None


def _lines(text: str) -> Iterator[str]:
    # CR alone by the standard; careless senders write LF or both
    return (line for line in re.split(r"[\r\n]+", text) if line.strip())


def _unescaped(value: str, separators: str) -> str:
    """Resolve the escapes of the separators (HL7 2.7.1); others become a space."""
    field, component, repetition, escape, subcomponent = tuple(separators)
    meant = {"F": field, "S": component, "R": repetition, "E": escape, "T": subcomponent}
    pattern = re.escape(escape) + "([^" + re.escape(escape) + "]*)" + re.escape(escape)
    return re.sub(pattern, lambda found: meant.get(found.group(1), " "), value).strip()


# hl7apy takes ED-5 for an ST of 199 characters; the standard sets no such limit (chapter 2A)
EMBEDDED = re.compile(r"(\^Base64\^)[A-Za-z0-9+/=]+")


def judge(message: str) -> str:
    """Say in words that a message (CR after each segment) is valid; else raises GiveUp."""
    version = message.partition("\r")[0].split("|")[11]
    try:
        shown = EMBEDDED.sub(r"\1AAAA", message)
        parse_message(shown, validation_level=VALIDATION_LEVEL.STRICT).validate()
    except (HL7apyException, ValueError) as error:
        # the message may quote a value, so a patient
        raise GiveUp(f"no valid HL7 {version} message: {type(error).__name__}") from error
    return f"valid HL7 {version} (strict)"
