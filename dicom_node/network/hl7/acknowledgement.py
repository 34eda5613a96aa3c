"""The acknowledgement of an HL7 message, as bytes.

HL7 v2.5.1, 2.9.2 (original mode), 2.9.3 (enhanced mode), 2.14.5 ERR, 2.14.8 MSA.
"""

import hashlib
from datetime import UTC, datetime

from dicom_node.domain.exchange.orders import Envelope, Fault

NEWEST = "2.5.1"
DEFAULT = "|^~\\&"
CONDITIONS = {
    100: "Segment sequence error",
    101: "Required field missing",
    102: "Data type error",
    103: "Table value not found",
    200: "Unsupported message type",
    201: "Unsupported event code",
    202: "Unsupported processing id",
    203: "Unsupported version id",
    207: "Application internal error",
}
"""HL7 table 0357."""


def acknowledgement(to: Envelope, fault: Fault | None, now: float) -> bytes | None:
    """Write the answer to a message; None where the sender wants none.

    MSA-2 repeats MSH-10 byte for byte. Texts are of our own making: no value of
    the message but those of MSH comes back.
    """
    code = _code(to, fault)
    if code is None:
        return None
    made = f"{datetime.fromtimestamp(now, UTC):%Y%m%d%H%M%S}+0000"
    version = to.version if to.version.startswith("2.") and len(to.version) <= 5 else NEWEST
    modern = version >= "2.5"
    kind = f"ACK^{to.trigger[:3]}" + ("^ACK" if modern else "") if to.trigger else "ACK"
    ours = hashlib.sha256(f"{to.control_id}\x1f{now}".encode()).hexdigest()[:20].upper()
    # with the sender's separators, so that what it said comes back as it was
    separators = to.separators or DEFAULT
    header = (*to.receiver, *to.sender, made, "", _spelt(kind, separators), ours)
    segments = [
        ("MSH", separators[1:], *header, to.processing_id or "P", version),
        ("MSA", code, to.control_id, *(() if fault is None else (fault.words,))),
    ]
    if fault is not None:
        error = _modern_error(fault) if modern else _older_error(fault)
        segments.append(tuple(_spelt(field, separators) for field in error))
    written = "".join(f"{separators[0].join(fields)}\r" for fields in segments)
    return written.encode("latin-1", "replace")


def _spelt(field: str, separators: str) -> str:
    """Put a field of our own, written with the usual separators, into the sender's."""
    return field.translate({ord("^"): separators[1], ord("&"): separators[4]})


def _code(to: Envelope, fault: Fault | None) -> str | None:
    """Choose MSA-1, by the conditions of HL7 table 0155 in enhanced mode."""
    code = "AA" if fault is None else fault.code
    if not to.accept and not to.application:
        return code
    wanted = ("AL", "SU") if fault is None else ("AL", "ER")
    if to.application in wanted:
        return code  # it tells all that an accept acknowledgement would
    return f"C{code[1]}" if to.accept in wanted else None


def _modern_error(fault: Fault) -> tuple[str, ...]:
    place = f"{fault.segment}^{fault.sequence}" + (f"^{fault.field}" if fault.field else "")
    condition = f"{fault.condition}^{CONDITIONS[fault.condition]}^HL70357"
    return ("ERR", "", place, condition, "E", "", "", "", fault.words)


def _older_error(fault: Fault) -> tuple[str, ...]:
    """Write ERR-1 (ELD), which versions before 2.5 have alone."""
    condition = f"{fault.condition}&{CONDITIONS[fault.condition]}&HL70357"
    return ("ERR", f"{fault.segment}^{fault.sequence}^{fault.field or ''}^{condition}")
