"""What a PACS's answers to a query or a retrieval mean for us."""

from dicom_node.domain.errors import BadSettings, GiveUp, NodeError, TryAgain

SUCCESS = 0x0000
PENDING = (0xFF00, 0xFF01)
SOME_FAILED = 0xB000
DESTINATION_UNKNOWN = 0xA801

FAILURES = {
    0x0122: "SOP class not supported",
    0x0124: "not authorized",
    0xA700: "refused: out of resources",
    0xA701: "out of resources: matches cannot be counted",
    0xA702: "out of resources: sub-operations cannot be performed",
    0xA801: "the move destination, our AE title, is not known there",
    0xA900: "identifier does not match SOP class",
    0xFE00: "cancelled by the peer",
}
"""PS3.4 tables C.4-1 to C.4-3."""
PASSING = (0x0124, 0xA700, 0xA701, 0xA702, 0xFE00)


def judge_query(service: str, status: int) -> NodeError:
    """Say what follows from a failure status of C-FIND, C-GET or C-MOVE."""
    words = f"{service}: 0x{status:04X} {FAILURES.get(status, 'unable to process')}"
    if status == DESTINATION_UNKNOWN:
        return BadSettings(f"{words}; add it to the peer's configuration")
    return TryAgain(words) if status in PASSING or status >> 12 == 0xC else GiveUp(words)


def judge_absence(service: str, status: int | None) -> NodeError:
    """Say what follows from a retrieval after which the image was not here."""
    if status is None:
        return TryAgain(f"{service}: no answer, or none that can be read")
    if status == SUCCESS:
        return GiveUp(f"{service}: the peer reports success and sent nothing")
    if status == SOME_FAILED:
        return GiveUp(f"{service}: 0xB000 the peer could not send the image")
    return judge_query(service, status)
