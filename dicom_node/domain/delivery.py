"""Who is notified next when a message is not acknowledged."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from dicom_node.domain.work import State

Fate = Literal["waiting", "sent", "called off"]


@dataclass(frozen=True, slots=True)
class Step:
    """One escalation of a message, as far as it has come."""

    place: int
    due_at: float
    fate: Fate
    delivery: State | None = None
    """How its delivery is, once it was sent."""


def decide(
    message: State | None, steps: Sequence[Step], now: float
) -> Iterator[tuple[Step, Literal["sent", "called off"]]]:
    """Yield what becomes of the waiting steps; one that waits on is left out.

    An acknowledgement anywhere calls the rest off, so does a message that is gone. A
    step's time comes when it is due, or at once when the one before it is a dead letter.
    """
    states = (message, *(step.delivery for step in steps))
    over = message is None or State.COMPLETED in states
    failed = message is State.DISCARDED
    for step in sorted(steps, key=lambda step: step.place):
        if step.fate == "waiting" and over:
            yield step, "called off"
        elif step.fate == "waiting" and (failed or step.due_at <= now):
            yield step, "sent"
        failed = step.fate == "sent" and step.delivery is State.DISCARDED
