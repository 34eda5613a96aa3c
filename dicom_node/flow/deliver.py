"""The outbox's turn: claim, send, settle."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import structlog

from dicom_node.domain.errors import GiveUp, LeaseLost, NotTaken, speakable
from dicom_node.domain.pipeline import Archive, Ledger
from dicom_node.domain.work import (
    DELIVERY_RETRY,
    QUOTED,
    Acknowledgement,
    Delivery,
    DeliveryBatch,
    DeliveryFailure,
    Undelivered,
    after_failure,
)
from dicom_node.flow.lease import kept_lease
from dicom_node.process import crash_points

log = structlog.get_logger()

Sender = Callable[[DeliveryBatch, Archive], tuple[Acknowledgement | Undelivered, ...]]
"""Send a batch, whose files are in the archive, to one destination.

A sender may raise instead of answering: then nothing of the batch arrived.
"""
LearnRefusal = Callable[[Delivery], bool]
"""Note that a destination does not take such an object; whether a plainer one may do."""


def _nothing_plainer(_delivery: Delivery) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Outbox:
    """Who sends, what and by what means, and how long it holds a claim."""

    worker: str
    ledger: Ledger
    archive: Archive
    senders: Mapping[str, Sender]
    clock: Callable[[], float]
    lease_s: float
    learn_refusal: LearnRefusal = _nothing_plainer


def deliver_once(outbox: Outbox, destination: str | None = None) -> int:
    """Send the deliveries of one study to one destination; say how many were due.

    Without `destination` the most urgent of all are taken, among them those whose
    destination the configuration has lost; they become dead letters. An object of a
    kind that the destination does not take is given up, or where `learn_refusal` knows
    a plainer one its image is read again and reported with that. Raises TryAgain
    when the database is away: what was sent and could not be settled is sent again
    after its lease, with the same identifiers.
    """
    ledger, clock, lease_s = outbox.ledger, outbox.clock, outbox.lease_s
    batch = ledger.claim_deliveries(outbox.worker, clock(), lease_s, destination)
    if batch is None:
        return 0
    crash_points.here("deliveries claimed")
    with kept_lease(ledger, batch, clock, lease_s):
        outcomes = _send(batch, outbox)
        crash_points.here("objects sent")
        missed = _failures(batch, outcomes, clock())
        # may ask the destination, so it takes time
        refused = _refusals(batch, missed, outbox.learn_refusal)
    arrived = tuple(outcome for outcome in outcomes if isinstance(outcome, Acknowledgement))
    failed = tuple(failure for _, failure in missed if failure not in refused)
    try:
        ledger.finish_deliveries(batch, arrived, failed, clock(), refused)
    except LeaseLost:
        log.warning("deliveries_lease_lost", destination=batch.destination, worker=batch.worker)
        return len(batch.deliveries)
    crash_points.here("deliveries settled")
    _log_outcomes(batch, arrived, missed, refused)
    return len(batch.deliveries)


def _send(batch: DeliveryBatch, outbox: Outbox) -> tuple[Acknowledgement | Undelivered, ...]:
    sender = outbox.senders.get(batch.destination)
    try:
        if sender is None:
            raise GiveUp(f"destination {batch.destination!r} is no longer in the configuration")
        return sender(batch, outbox.archive)
    except Exception as error:  # noqa: BLE001 - the outbox's edge: no object may stop the others
        return tuple(Undelivered(delivery.id, error) for delivery in batch.deliveries)


def _failures(
    batch: DeliveryBatch, outcomes: tuple[Acknowledgement | Undelivered, ...], now: float
) -> tuple[tuple[Undelivered, DeliveryFailure], ...]:
    """Choose what did not arrive, and decide what follows."""
    attempts = {delivery.id: delivery.attempt for delivery in batch.deliveries}
    return tuple(
        (outcome, _failure(outcome, attempts[outcome.delivery_id], now))
        for outcome in outcomes
        if isinstance(outcome, Undelivered)
    )


def _refusals(
    batch: DeliveryBatch,
    missed: tuple[tuple[Undelivered, DeliveryFailure], ...],
    learn_refusal: LearnRefusal,
) -> tuple[DeliveryFailure, ...]:
    """Choose the failures that a plainer object mends."""
    deliveries = {delivery.id: delivery for delivery in batch.deliveries}
    return tuple(
        failure
        for undelivered, failure in missed
        if isinstance(undelivered.error, NotTaken)
        and learn_refusal(deliveries[undelivered.delivery_id])
    )


def _failure(missed: Undelivered, attempt: int, now: float) -> DeliveryFailure:
    failure = after_failure(missed.error, attempt, now, DELIVERY_RETRY)
    said = "; ".join(getattr(missed.error, "__notes__", ()))
    if said:
        failure = replace(failure, words=failure.words + QUOTED + said)
    return DeliveryFailure(missed.delivery_id, failure)


def _log_outcomes(
    batch: DeliveryBatch,
    arrived: tuple[Acknowledgement, ...],
    missed: tuple[tuple[Undelivered, DeliveryFailure], ...],
    refused: tuple[DeliveryFailure, ...],
) -> None:
    deliveries = {delivery.id: delivery for delivery in batch.deliveries}
    for acknowledgement in arrived:
        log.info(
            "delivery_completed",
            answer=acknowledgement.words,
            **_identify(deliveries[acknowledgement.delivery_id]),
        )
    for undelivered, failed in missed:
        bound = log.bind(**_identify(deliveries[failed.delivery_id]))
        bound = bound.bind(
            error=type(undelivered.error).__name__, reason=speakable(undelivered.error)
        )
        if failed in refused:
            bound.warning("delivery_refused")
        elif failed.failure.due_at is None:
            bound.error("delivery_discarded")
        else:
            bound.warning("delivery_postponed", due_at=failed.failure.due_at)


def _identify(delivery: Delivery) -> dict[str, object]:
    return {
        "delivery": delivery.id,
        "destination": delivery.destination,
        "protocol": delivery.protocol,
        "kind": delivery.kind,
        "study_uid": delivery.study_uid,
        "sop_instance_uid": delivery.sop_instance_uid,
        "attempt": delivery.attempt,
    }
