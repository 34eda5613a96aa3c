"""Validates the message templates of [[hl7]]."""

from collections.abc import Iterator

from dicom_node.domain import codes
from dicom_node.domain.study import HL7Destination

NEEDED = ("OBR", "OBX")
"""Without an order (OBR) no ORU^R01 is valid, without OBX it says nothing."""


def faults(receivers: tuple[HL7Destination, ...]) -> Iterator[str]:
    """Yield what is wrong with the templates of [[hl7]], each with its remedy."""
    for receiver in receivers:
        yield from (
            f"hl7 {receiver.name!r}: {words}" for words in (*_segments(receiver), *_codes(receiver))
        )
    yield from _chains(receivers)


def _segments(receiver: HL7Destination) -> Iterator[str]:
    for name in NEEDED:
        if name not in receiver.segments:
            yield f"segments lacks {name!r}, which every result needs; add it"
    if "PV1" in receiver.segments and "PID" not in receiver.segments:
        yield "segments has 'PV1' without 'PID', to which it belongs; add 'PID' or remove 'PV1'"
    twice = [name for name in dict.fromkeys(receiver.segments) if receiver.segments.count(name) > 1]
    if twice:
        yield f"segments names {twice[0]!r} twice"


def _codes(receiver: HL7Destination) -> Iterator[str]:
    ours = {concept.value for concept in codes.CONCEPTS}
    for value, own in receiver.codes.items():
        if value not in ours:
            yield (
                f"codes: {value!r} is no code of the node; "
                "see them with: dicom-node oru --example --to " + receiver.name
            )
        if not (own.value and own.scheme and own.meaning):
            yield f"codes.{value} needs a value, a scheme and a meaning that are not empty"


def _chains(receivers: tuple[HL7Destination, ...]) -> Iterator[str]:
    names = {receiver.name for receiver in receivers}
    stands_for: dict[str, str] = {}
    for receiver in receivers:
        if receiver.escalate_after_s <= 0:
            yield f"hl7 {receiver.name!r}: escalate_after_s must be more than 0"
        for name in receiver.escalation:
            if name not in names:
                yield f"hl7 {receiver.name!r}: escalation {name!r} is not in [[hl7]]"
            elif name == receiver.name:
                yield f"hl7 {receiver.name!r}: escalation names the receiver itself"
            elif name in stands_for:
                yield (
                    f"hl7 {receiver.name!r}: escalation {name!r} stands in for "
                    f"{stands_for[name]!r} already; give the same address a second name in [[hl7]]"
                )
            stands_for[name] = receiver.name
