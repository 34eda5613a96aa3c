"""What a peer's refusals and statuses mean for us."""

from dicom_node.domain.errors import BadSettings, GiveUp, NodeError, NotTaken, TryAgain

ARRIVED = {
    0x0000: "stored",
    0x0001: "stored, with a warning",
    0x0107: "stored, with a warning: attribute list error",
    0x0111: "there already (duplicate SOP instance)",
    0x0116: "stored, with a warning: attribute value out of range",
    0xB000: "stored, with a warning: coercion of data elements",
    0xB006: "stored, with a warning: elements discarded",
    0xB007: "stored, with a warning: data set does not match SOP class",
}
"""PS3.4 table B.2-1 and PS3.7 annex C.

0x0111 counts: identifiers are derived from the content, so it is our object that
the peer has, from an attempt whose answer was lost.
"""

PASSING = {0x0110: "processing failure", 0x0124: "not authorized"}
"""Failures that pass, or that the peer's administrator ends in minutes."""

NOT_TAKEN = {0x0118: "no such SOP class", 0x0122: "SOP class not supported"}
"""Failures of the kind of object, not of this one."""

PERMANENT = {
    0x0117: "invalid SOP instance",
    0x0210: "duplicate invocation",
    0x0211: "unrecognized operation",
    0x0212: "mistyped argument",
}

REJECTIONS = {
    (1, 1, 1): "no reason given",
    (1, 1, 2): "application context name not supported",
    (1, 1, 3): "calling AE title not recognized; the peer must be told of ours",
    (1, 1, 7): "called AE title not recognized; compare it with the peer's own",
    (1, 2, 1): "no reason given (ACSE)",
    (1, 2, 2): "protocol version not supported",
    (2, 3, 1): "temporary congestion",
    (2, 3, 2): "local limit exceeded",
}
"""PS3.8 table 9-21: result, source, reason."""

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
PASSING_QUERY = (0x0124, 0xA700, 0xA701, 0xA702, 0xFE00)


def judge_store(status: int, comment: str = "") -> str:
    """Say in words that the object arrived, or raise what follows.

    Raises TryAgain for passing failures and GiveUp for permanent and unknown ones;
    the peer's ErrorComment (0000,0902), which may name a patient, is a note of the
    error.
    """
    code = f"0x{status:04X}"
    if status in ARRIVED:
        return f"{code} {ARRIVED[status]}"
    if status >> 12 == 0xB:
        return f"{code} stored, with a warning"
    error: NodeError
    if status in PASSING:
        error = TryAgain(f"{code} {PASSING[status]}")
    elif status in NOT_TAKEN:
        error = NotTaken(f"{code} {NOT_TAKEN[status]}")
    elif status >> 8 == 0xA7:
        error = TryAgain(f"{code} refused: out of resources")
    elif status >> 8 == 0xA9:
        error = GiveUp(f"{code} data set does not match SOP class")
    elif status >> 12 == 0xC:
        error = GiveUp(f"{code} cannot understand")
    else:
        error = GiveUp(f"{code} {PERMANENT.get(status, 'failure')}")
    if comment:
        error.add_note(comment)
    raise error


def explain_rejection(result: int, source: int, reason: int) -> TryAgain:
    """Put an A-ASSOCIATE-RJ into words.

    Every rejection is worth repeating, the permanent ones too: an unknown AE title
    is a setting that people correct, and results given up meanwhile would be lost.
    """
    words = REJECTIONS.get((result, source, reason), "reason not in the standard")
    kind = "for now" if result == 2 else "permanently"
    return TryAgain(f"association rejected {kind} ({result}/{source}/{reason}): {words}")


def judge_query(service: str, status: int) -> NodeError:
    """Say what follows from a failure status of C-FIND, C-GET or C-MOVE."""
    words = f"{service}: 0x{status:04X} {FAILURES.get(status, 'unable to process')}"
    if status == DESTINATION_UNKNOWN:
        return BadSettings(f"{words}; add it to the peer's configuration")
    return TryAgain(words) if status in PASSING_QUERY or status >> 12 == 0xC else GiveUp(words)


def judge_absence(service: str, status: int | None) -> NodeError:
    """Say what follows from a retrieval after which the image was not here."""
    if status is None:
        return TryAgain(f"{service}: no answer, or none that can be read")
    if status == SUCCESS:
        return GiveUp(f"{service}: the peer reports success and sent nothing")
    if status == SOME_FAILED:
        return GiveUp(f"{service}: 0xB000 the peer could not send the image")
    return judge_query(service, status)
