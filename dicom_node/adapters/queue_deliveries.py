"""The outbox: deliveries claimed in batches and settled."""

from collections.abc import Sequence

from sqlalchemy import Connection, Select, and_, exists, select

from dicom_node.adapters.queue_rows import clip, delivery_from
from dicom_node.adapters.queue_steps import claim_step, held_step, in_state, raise_alarm, step
from dicom_node.adapters.schema import deliveries, objects
from dicom_node.domain.work import (
    Acknowledgement,
    DeliveryBatch,
    DeliveryFailure,
    Event,
    Protocol,
    State,
)

LARGEST_BATCH = 100
"""Objects on one association."""


def claim(
    conn: Connection, worker: str, now: float, lease_s: float, destination: str | None
) -> DeliveryBatch | None:
    """Lease the deliveries that go out together next."""
    turn = _due(now).limit(1)
    if destination is not None:
        turn = turn.where(deliveries.c.destination == destination)
    first = conn.execute(turn).first()
    if first is None:
        return None
    ids = [first.id]
    if first.protocol != "mllp":  # a message is answered by itself, objects share an association
        fellows = _due(now).where(
            deliveries.c.study_uid == first.study_uid,
            deliveries.c.destination == first.destination,
            deliveries.c.protocol == first.protocol,
            deliveries.c.id != first.id,
        )
        ids += [row.id for row in conn.execute(fellows.limit(LARGEST_BATCH - 1))]
    leasing = claim_step(deliveries, worker, now, lease_s).where(deliveries.c.id.in_(ids))
    leased = conn.execute(leasing.returning(deliveries.c.id)).scalars().all()
    return DeliveryBatch(
        destination=first.destination,
        protocol=first.protocol,
        deliveries=tuple(delivery_from(row) for row in conn.execute(_described(leased))),
        worker=worker,
        lease_until=now + lease_s,
    )


def _due(now: float) -> Select[tuple[int, str, str, Protocol]]:
    earlier = deliveries.alias("earlier")
    objects_under_way = exists().where(
        earlier.c.instance_id == deliveries.c.instance_id,
        earlier.c.after_objects.is_(False),
        earlier.c.protocol != "mllp",
        in_state(earlier, State.AVAILABLE, State.EXECUTING),
    )
    return (
        select(
            deliveries.c.id,
            deliveries.c.study_uid,
            deliveries.c.destination,
            deliveries.c.protocol,
        )
        .where(
            in_state(deliveries, State.AVAILABLE),
            deliveries.c.due_at <= now,
            ~and_(deliveries.c.after_objects, objects_under_way),
        )
        .order_by(deliveries.c.order_at, deliveries.c.id)
        .with_for_update(of=deliveries, skip_locked=True)
    )


def _described(ids: Sequence[int]) -> Select[tuple[object, ...]]:
    described = select(
        deliveries.c.id,
        deliveries.c.destination,
        deliveries.c.protocol,
        deliveries.c.attempt,
        deliveries.c.study_uid,
        objects.c.kind,
        objects.c.sop_class_uid,
        objects.c.sop_instance_uid,
        objects.c.file_key,
        objects.c.file_sha256,
        objects.c.file_size,
    ).join_from(deliveries, objects, deliveries.c.object_id == objects.c.id)
    return described.where(deliveries.c.id.in_(ids)).order_by(deliveries.c.id)


def settle(
    conn: Connection,
    batch: DeliveryBatch,
    arrived: tuple[Acknowledgement, ...],
    failed: tuple[DeliveryFailure, ...],
    now: float,
) -> None:
    """Move every delivery of the batch on."""
    untried = {delivery.id for delivery in batch.deliveries}
    for ack in arrived:
        done = step(deliveries, Event.FINISH).values(
            finished_at=now, acknowledged=clip(ack.words), last_error=None
        )
        held_step(conn, done, batch, [ack.delivery_id])
        untried.discard(ack.delivery_id)
    for missed in failed:
        _fail(conn, batch, missed, now)
        untried.discard(missed.delivery_id)
    again = step(deliveries, Event.POSTPONE).values(
        due_at=0.0,
        attempt=deliveries.c.attempt - 1,  # it was never tried
    )
    held_step(conn, again, batch, sorted(untried))


def _fail(conn: Connection, batch: DeliveryBatch, missed: DeliveryFailure, now: float) -> None:
    words = clip(missed.failure.words)
    if missed.failure.due_at is not None:
        later = step(deliveries, Event.POSTPONE).values(
            due_at=missed.failure.due_at, last_error=words
        )
        held_step(conn, later, batch, [missed.delivery_id])
        return
    dead = step(deliveries, Event.GIVE_UP).values(finished_at=now, last_error=words)
    held_step(conn, dead, batch, [missed.delivery_id])
    mourn(conn, batch.destination, now)


def mourn(conn: Connection, destination: str, now: float) -> None:
    """Raise the alarm for a dead letter; the destination's words stay in its row."""
    raise_alarm(conn, "delivery_discarded", f"{destination}: see its dead letters", now)
