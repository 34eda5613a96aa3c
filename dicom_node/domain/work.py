"""Jobs, result objects and deliveries, and how they live."""

import hashlib
from dataclasses import dataclass
from enum import Enum
from typing import Literal

from dicom_node.domain.errors import Away, NotUnderstood, TryAgain, speakable
from dicom_node.domain.findings import Findings
from dicom_node.domain.study import Instance

Priority = Literal["urgent", "high", "routine", "low"]
PRIORITY_RANK: dict[Priority, int] = {"urgent": 0, "high": 10, "routine": 20, "low": 30}
"""Smaller is claimed first; waiting lowers the rank (ageing), so nothing starves."""
AGEING_S = 60.0
"""Seconds of waiting that are worth one rank."""

OutputKind = Literal["seg", "sr", "text_sr", "sc", "gsps", "kos", "pdf"]
"""What a route may ask for; each is a DICOM object."""
ObjectKind = OutputKind | Literal["oru", "fhir", "rejection"]
Protocol = Literal["dicom", "mllp", "stow", "fhir"]


class State(Enum):
    """Where a job or a delivery is in its life."""

    AVAILABLE = "available"
    EXECUTING = "executing"
    COMPLETED = "completed"
    DISCARDED = "discarded"
    CANCELLED = "cancelled"


class Event(Enum):
    """What happens to a job or a delivery."""

    CLAIM = "claim"
    FINISH = "finish"
    POSTPONE = "postpone"
    GIVE_UP = "give up"
    RESCUE = "rescue"
    RETRY = "retry"
    REPLACE = "replace"
    REPEAT = "repeat"
    LOSE = "lose"
    """A destination does not keep what it took."""


TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.AVAILABLE, Event.CLAIM): State.EXECUTING,
    (State.EXECUTING, Event.FINISH): State.COMPLETED,
    (State.EXECUTING, Event.POSTPONE): State.AVAILABLE,
    (State.EXECUTING, Event.GIVE_UP): State.DISCARDED,
    (State.EXECUTING, Event.RESCUE): State.AVAILABLE,
    (State.EXECUTING, Event.REPLACE): State.CANCELLED,
    (State.COMPLETED, Event.REPEAT): State.AVAILABLE,
    (State.COMPLETED, Event.LOSE): State.DISCARDED,
    (State.DISCARDED, Event.RETRY): State.AVAILABLE,
    (State.CANCELLED, Event.RETRY): State.AVAILABLE,
}
"""Every lawful step; anything else is a programming error (KeyError)."""


@dataclass(frozen=True, slots=True)
class RetryRule:
    """Growing pauses: `first_s`, doubled each time up to `longest_s`."""

    first_s: float
    longest_s: float
    attempts: int
    """How often in all, before the work becomes a dead letter."""

    def pause_s(self, times: int) -> float:
        """Give the pause after so many vain attempts (1 is the first)."""
        return min(self.longest_s, self.first_s * 2.0 ** min(max(times, 1) - 1, 30))


JOB_RETRY = RetryRule(first_s=1, longest_s=60, attempts=3)
DELIVERY_RETRY = RetryRule(first_s=5, longest_s=900, attempts=300)
"""About three days of a PACS being down."""
QUOTED = "; it says: "
"""Stands between our words and a peer's own, which may name a patient."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What to do about failed work: repeat at `due_at`, or never (None)."""

    due_at: float | None
    words: str
    alarm: str = ""
    """What a person is to be told now, though the work goes on."""


NOT_UNDERSTOOD_AFTER = 3
"""Answers that nobody understood: a message may have been taken each time."""


def after_failure(error: Exception, attempt: int, now: float, rule: RetryRule) -> Failure:
    """Decide what follows the failed attempt number `attempt` (1 is the first)."""
    words = ": ".join(filter(None, (type(error).__name__, speakable(error))))
    passing = isinstance(error, TryAgain | OSError | MemoryError)
    # others take memory for minutes: twelve attempts at a job are six minutes
    attempts = rule.attempts * (4 if isinstance(error, MemoryError) else 1)
    if not isinstance(error, Away) and (not passing or attempt >= attempts):
        return Failure(None, words)
    alarming = isinstance(error, NotUnderstood) and attempt >= NOT_UNDERSTOOD_AFTER
    alarm = f"answered, but not understood: {error}" if alarming else ""
    return Failure(now + rule.pause_s(attempt), words, alarm)


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file in the archive: key, SHA-256 (hex) and size in bytes."""

    key: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Arrival:
    """One received instance, as it was stored."""

    instance: Instance
    file: StoredFile
    calling_ae: str
    called_ae: str
    host: str
    received_at: float


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to be created: one pipeline reads one instance, for these routes."""

    pipeline: str
    routes: tuple[str, ...]
    priority: Priority


@dataclass(frozen=True, slots=True)
class Admission:
    """What the rules made of an instance: jobs, or the reason for none."""

    jobs: tuple[NewJob, ...] = ()
    not_analysed: str | None = None


class Recorded(Enum):
    """What recording an arrival found."""

    NEW = "new"
    SAME = "same"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class Job:
    """A claimed job."""

    id: int
    pipeline: str
    routes: tuple[str, ...]
    attempt: int


@dataclass(frozen=True, slots=True)
class Claim:
    """All waiting jobs of one instance, held by one worker under a lease."""

    instance_id: int
    arrival: Arrival
    jobs: tuple[Job, ...]
    worker: str
    lease_until: float
    token: str = ""
    """Tells this claim from any later one, by the same worker too (fencing)."""


@dataclass(frozen=True, slots=True)
class ReportObject:
    """One result object, ready to be stored and sent.

    `content` is a DICOM Part 10 file, or an ER7 message for kind "oru".
    """

    kind: ObjectKind
    sop_class_uid: str
    sop_instance_uid: str
    """For an ORU: a derived UID whose only use is to be unique."""
    series_uid: str
    content: bytes
    slot: str = ""
    """Its place among the image's results, which a later reading's takes over."""


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """A delivery to be created: one object to one destination."""

    sop_instance_uid: str
    destination: str
    protocol: Protocol
    priority: Priority
    after_objects: bool = False
    """Wait until the instance's DICOM objects are delivered."""


@dataclass(frozen=True, slots=True)
class Replacement:
    """Which object a destination gets in place of another, and why."""

    destination: str
    wanted: str
    sent: str
    reason: str


@dataclass(frozen=True, slots=True)
class Escalation:
    """A message that goes out only if another is not acknowledged."""

    sop_instance_uid: str
    destination: str
    instead_of: str
    """The UID of the message that it stands in for."""
    place: int
    """1 for who is notified first."""
    due_at: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a finished claim leaves behind; written in one commit."""

    findings: tuple[Findings, ...]
    objects: tuple[tuple[ReportObject, StoredFile], ...]
    deliveries: tuple[NewDelivery, ...]
    replaced: tuple[Replacement, ...] = ()
    escalations: tuple[Escalation, ...] = ()
    not_made: tuple[str, ...] = ()
    """Kinds of object that could not be made, with the destination and why."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A claimed delivery."""

    id: int
    destination: str
    protocol: Protocol
    attempt: int
    kind: ObjectKind
    sop_class_uid: str
    sop_instance_uid: str
    study_uid: str
    file: StoredFile


@dataclass(frozen=True, slots=True)
class DeliveryBatch:
    """Deliveries of one study to one destination: one association."""

    destination: str
    protocol: Protocol
    deliveries: tuple[Delivery, ...]
    worker: str
    lease_until: float
    token: str = ""
    """Tells this claim from any later one, by the same worker too (fencing)."""


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """What a destination answered for one delivery, in its own words."""

    delivery_id: int
    words: str


@dataclass(frozen=True, slots=True)
class Undelivered:
    """Why one delivery did not arrive: TryAgain or GiveUp.

    Notes on the error (`add_note`) are the destination's own words; they may name
    a patient, so they go to the database and never into the log.
    """

    delivery_id: int
    error: Exception


@dataclass(frozen=True, slots=True)
class DeliveryFailure:
    """A delivery that did not arrive."""

    delivery_id: int
    failure: Failure


def derive_uid(*parts: str) -> str:
    """Derive a UID under 2.25 (PS3.5 B.2) that depends on `parts` alone."""
    digest = hashlib.sha256("\x1f".join(parts).encode()).digest()[:16]
    # RFC 9562 version 8 (custom) UUID: version and variant bits set, the rest is the digest
    number = int.from_bytes(digest, "big")
    number = number & ~(0xF << 76) | (0x8 << 76)
    number = number & ~(0x3 << 62) | (0x2 << 62)
    return f"2.25.{number}"
