"""What there is to see: queues, dead letters, senders, alarms."""

from dataclasses import dataclass, replace
from typing import Literal

from dicom_node.domain.operations.monitoring import Heartbeat
from dicom_node.domain.work import QUOTED


@dataclass(frozen=True, slots=True)
class Depth:
    """How many rows of one queue are in each state."""

    queue: str
    """ "jobs", or the name of a destination."""
    available: int = 0
    executing: int = 0
    completed: int = 0
    discarded: int = 0
    cancelled: int = 0
    oldest_s: float | None = None
    """Age of the oldest that is neither done nor given up; None when there is none."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Work that was given up; `dicom-node retry` takes it up again."""

    kind: Literal["job", "delivery"]
    id: int
    where: str
    """The pipeline of a job, the destination of a delivery."""
    subject: str
    """The received instance's UID for a job; kind and UID of the object for a delivery."""
    study_uid: str
    attempt: int
    words: str
    """The last error; a destination's own words, which may name a patient."""
    at: float


@dataclass(frozen=True, slots=True)
class Sender:
    """One calling AE title and what came from it."""

    calling_ae: str
    instances: int
    last_at: float


@dataclass(frozen=True, slots=True)
class Caller:
    """An unknown caller that waits for approval."""

    ae: str
    host: str
    times: int
    last_at: float


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something a person should look at."""

    kind: str
    words: str
    times: int
    first_at: float
    last_at: float


@dataclass(frozen=True, slots=True)
class Replaced:
    """A plainer object that a destination gets in place of the wanted one."""

    destination: str
    wanted: str
    sent: str
    reason: str
    last_at: float


@dataclass(frozen=True, slots=True)
class Commitments:
    """Whether a peer keeps what it took (storage commitment)."""

    destination: str
    uncommitted: int
    """To be asked about, asked about, or on their way again."""
    committed: int
    given_up: int
    """Their deliveries are dead letters, unless a person has retried them."""
    oldest_s: float | None
    """Since the oldest of the uncommitted was taken; None when there is none."""


@dataclass(frozen=True, slots=True)
class StatusSnapshot:
    """The state of the node at one moment."""

    at: float
    jobs: Depth
    deliveries: tuple[Depth, ...]
    analysed: int
    pending: int
    """Instances whose outcome is still open."""
    not_analysed: tuple[tuple[str, int], ...]
    """Reason and number of instances, the most frequent first."""
    dead_letters: tuple[DeadLetter, ...]
    """The newest; `Depth.discarded` counts all."""
    senders: tuple[Sender, ...]
    callers: tuple[Caller, ...]
    alarms: tuple[Alarm, ...]
    replaced: tuple[Replaced, ...] = ()
    processes: tuple[Heartbeat, ...] = ()
    """The last sign of life of each."""
    commitments: tuple[Commitments, ...] = ()


@dataclass(frozen=True, slots=True)
class Moment:
    """One step in the way of a study through the node."""

    at: float
    step: Literal["received", "claimed", "finished", "delivered", "committed", "discarded"]
    sop_instance_uid: str
    """The received instance that the step belongs to."""
    what: str
    """The sender, the pipeline, or the object's kind."""
    words: str
    """The outcome, the destination and its answer, or the reason for giving up."""


def without_quotes(snapshot: StatusSnapshot) -> StatusSnapshot:
    """Drop what destinations said in their own words about dead letters."""
    letters = tuple(
        replace(letter, words=letter.words.partition(QUOTED)[0]) for letter in snapshot.dead_letters
    )
    return replace(snapshot, dead_letters=letters)
