"""Storage commitment: what is asked, answered, and done about it.

PS3.4 annex J: the node asks a PACS whether it keeps what it was sent. The answer
comes when it comes, over the association of the request or over one that the PACS
opens; it names the transaction by the UID that the node gave it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from dicom_node.domain.study import InstanceRef
from dicom_node.domain.work import RetryRule

PUSH_MODEL = "1.2.840.10008.1.20.1"
"""Storage Commitment Push Model SOP Class (PS3.4 J.3.1)."""
PUSH_MODEL_INSTANCE = "1.2.840.10008.1.20.1.1"
"""Its one well-known instance (PS3.4 J.3.5)."""
REQUEST_COMMITMENT = 1
"""Action Type ID (PS3.4 table J.3-1)."""
ALL_KEPT, SOME_MISSING = 1, 2
"""Event Type IDs (PS3.4 table J.3-2)."""

# statuses of N-EVENT-REPORT and N-ACTION (PS3.7 annex C), reasons of failure (PS3.3 C.14)
SUCCESS = 0x0000
PROCESSING_FAILURE = 0x0110
NO_SUCH_INSTANCE = 0x0112
NO_SUCH_EVENT_TYPE = 0x0113
INVALID_ARGUMENT = 0x0115
NO_SUCH_CLASS = 0x0118
CLASS_CONFLICT = 0x0119
CLASS_NOT_SUPPORTED = 0x0122
DUPLICATE_TRANSACTION = 0x0131
OUT_OF_RESOURCES = 0x0213

EVENT_STATUSES = {
    SUCCESS: "the report is kept, or came before",
    PROCESSING_FAILURE: "internal error",
    NO_SUCH_INSTANCE: "not the well-known instance of the service",
    NO_SUCH_EVENT_TYPE: "event type is neither 1 nor 2",
    INVALID_ARGUMENT: "no transaction of this peer, no instance named, or not readable",
    NO_SUCH_CLASS: "another service, or a peer that is not asked",
    OUT_OF_RESOURCES: "database not available; repeat later",
}
"""What each answer of ours to a report says."""
REASONS = {
    PROCESSING_FAILURE: "processing failure",
    NO_SUCH_INSTANCE: "no such object instance",
    CLASS_CONFLICT: "class and instance conflict",
    CLASS_NOT_SUPPORTED: "referenced SOP class not supported",
    DUPLICATE_TRANSACTION: "duplicate transaction UID",
    OUT_OF_RESOURCES: "resource limitation",
}
"""Failure Reason (0008,1197), PS3.3 C.14.1.1."""

MOST_ASKED = 8
"""Requests that a peer took without the object being committed, before a person looks."""
ASK_RETRY = RetryRule(first_s=30, longest_s=3600, attempts=100)
"""For requests that the peer did not take: about four days."""
SEND_RETRY = RetryRule(first_s=5, longest_s=3600, attempts=MOST_ASKED)
"""Before an object is sent once more."""
LONGEST_WAIT_S = 86_400.0

Remedy = Literal["send again", "ask again", "give up"]


@dataclass(frozen=True, slots=True)
class Request:
    """The objects of one transaction (PS3.4 J.3.2)."""

    transaction_uid: str
    destination: str
    objects: tuple[InstanceRef, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """What a peer says about one transaction (PS3.4 J.3.3)."""

    transaction_uid: str
    kept: tuple[str, ...]
    """SOP Instance UIDs that it has taken responsibility for."""
    missing: tuple[tuple[str, int], ...] = ()
    """SOP Instance UIDs that it has not, with the Failure Reason."""


@dataclass(frozen=True, slots=True)
class CommitmentOutcome:
    """What a report changed; nothing where it came before."""

    committed: int = 0
    again: int = 0
    given_up: int = 0


class CommitmentBook(Protocol):
    """The objects that peers must commit to, and the transactions about them.

    Every method is one transaction of the database; raises TryAgain as the Ledger.
    """

    def ask(self, destination: str, now: float) -> Request | None:
        """Open a transaction about what is due, with a new UID; None when nothing is.

        Durable before the request leaves: an answer, whenever it comes, is known.
        What was asked too often is given up instead.
        """

    def asked(self, request: Request, now: float, timeout_s: float) -> None:
        """Note that the peer took the request: wait for its report."""

    def not_asked(self, request: Request, words: str, now: float) -> None:
        """Note that it did not: the objects are due again after a pause."""

    def record_report(
        self, report: Report, destinations: Sequence[str], now: float
    ) -> CommitmentOutcome | None:
        """Take a report of one of `destinations`; None for no transaction of theirs."""


def patience_s(timeout_s: float, times: int) -> float:
    """Say how long to wait for the report on the request number `times`."""
    return min(max(timeout_s, LONGEST_WAIT_S), timeout_s * 2.0 ** min(max(times, 1) - 1, 30))


def remedy(reason: int, times: int) -> Remedy:
    """Decide what follows when the peer does not keep an object, asked `times`."""
    if reason in (CLASS_NOT_SUPPORTED, CLASS_CONFLICT) or times >= MOST_ASKED:
        return "give up"
    return "ask again" if reason == DUPLICATE_TRANSACTION else "send again"


def reason_words(reason: int) -> str:
    """Put a Failure Reason into words."""
    return f"not committed: 0x{reason:04X} {REASONS.get(reason, 'reason not in the standard')}"
