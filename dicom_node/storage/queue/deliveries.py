"""The outbox: deliveries claimed in batches and settled."""

from collections.abc import Iterable

from sqlalchemy import Connection, Double, Text, and_, bindparam, exists, literal_column, select

from dicom_node.domain.work import (
    Acknowledgement,
    DeliveryBatch,
    DeliveryFailure,
    Event,
    Failure,
    Priority,
    Protocol,
    State,
)
from dicom_node.storage.database.rows import clip, delivery_from, key, plain
from dicom_node.storage.database.schema import deliveries, objects
from dicom_node.storage.queue import jobs
from dicom_node.storage.queue.transitions import (
    IDS,
    NOW,
    ROW_ID,
    UNFINISHED,
    WORDS,
    claim_step,
    close_alarms,
    held_step,
    in_state,
    lease,
    new_token,
    raise_alarm,
    run_held,
)

LARGEST_BATCH = 100
"""Objects on one association."""
SINGLE = ("mllp", "fhir")
"""Protocols of messages, each answered by itself; objects share an association."""
NOT_UNDERSTOOD = "answer_not_understood"
"""The alarm about a destination whose answers are none of its protocol."""
AGAIN_S = 5.0
"""When a refused object is tried again because its image is under way."""

_NAMED = select(objects.c.sop_instance_uid, objects.c.id).where(
    objects.c.sop_instance_uid.in_(bindparam("uids", expanding=True))
)
_earlier = deliveries.alias("earlier")
_OBJECTS_UNDER_WAY = exists().where(
    _earlier.c.instance_id == deliveries.c.instance_id,
    _earlier.c.after_objects.is_(False),
    *(_earlier.c.protocol != literal_column(f"'{protocol}'") for protocol in SINGLE),
    in_state(_earlier, *UNFINISHED),
)
_DUE = (
    select(deliveries.c.id, deliveries.c.study_uid, deliveries.c.destination, deliveries.c.protocol)
    .where(
        in_state(deliveries, State.AVAILABLE),
        deliveries.c.due_at <= NOW,
        ~and_(deliveries.c.after_objects, _OBJECTS_UNDER_WAY),
    )
    .order_by(deliveries.c.order_at, deliveries.c.id)
    .with_for_update(of=deliveries, skip_locked=True)
)
_destination = bindparam("destination", type_=Text)
TURN = _DUE.limit(1)
TURN_OF = TURN.where(deliveries.c.destination == _destination)
FELLOWS = _DUE.where(
    deliveries.c.study_uid == bindparam("study_uid"),
    deliveries.c.destination == _destination,
    deliveries.c.protocol == bindparam("protocol"),
).limit(LARGEST_BATCH)
_CLAIM = claim_step(deliveries).where(deliveries.c.id.in_(IDS))
_CLAIMED = (
    select(
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
    )
    .join_from(deliveries, objects, deliveries.c.object_id == objects.c.id)
    .where(deliveries.c.id.in_(IDS))
    .order_by(deliveries.c.id)
)
_OURS = deliveries.c.id == ROW_ID
_FINISH = (
    held_step(deliveries, Event.FINISH)
    .where(_OURS)
    .values(finished_at=NOW, acknowledged=WORDS, last_error=None)
)
_POSTPONE = (
    held_step(deliveries, Event.POSTPONE)
    .where(_OURS)
    .values(due_at=bindparam("due", type_=Double), last_error=WORDS)
)
_GIVE_UP = (
    held_step(deliveries, Event.GIVE_UP).where(_OURS).values(finished_at=NOW, last_error=WORDS)
)
_REPLACE = (
    held_step(deliveries, Event.REPLACE).where(_OURS).values(finished_at=NOW, last_error=WORDS)
)
_WHOSE = select(deliveries.c.id, deliveries.c.instance_id).where(deliveries.c.id.in_(IDS))
_UNTRIED = (
    held_step(deliveries, Event.POSTPONE)
    .where(_OURS)
    .values(due_at=0.0, attempt=deliveries.c.attempt - 1)
)


def object_ids(conn: Connection, uids: Iterable[str]) -> dict[str, int]:
    """Find the rows of objects by the `key` of their SOP Instance UIDs."""
    named = sorted({key(uid) for uid in uids})
    return {row.sop_instance_uid: row.id for row in conn.execute(_NAMED, {"uids": named})}


def new_row(
    destination: str, protocol: Protocol, priority: Priority, now: float
) -> dict[str, object]:
    """Begin the row of a delivery, which is due at once."""
    return {
        "destination": plain(destination),
        "protocol": protocol,
        "priority": priority,
        "after_objects": False,
        "order_at": jobs.order_at(now, priority),
        "due_at": 0.0,
        "state": State.AVAILABLE.value,
        "attempt": 0,
        "deaths": 0,
        "created_at": now,
    }


def claim(
    conn: Connection, worker: str, now: float, lease_s: float, destination: str | None
) -> DeliveryBatch | None:
    """Lease the deliveries that go out together next."""
    turn = TURN if destination is None else TURN_OF
    first = conn.execute(turn, {"now": now, "destination": destination}).first()
    if first is None:
        return None
    ids = {first.id}
    if first.protocol not in SINGLE:
        fellows = conn.execute(FELLOWS, {"now": now} | dict(first._mapping))
        ids |= {row.id for row in fellows}
    token = new_token()
    chosen = {"ids": sorted(ids)}
    conn.execute(_CLAIM, lease(worker, now, lease_s, token) | chosen)
    return DeliveryBatch(
        destination=first.destination,
        protocol=first.protocol,
        deliveries=tuple(delivery_from(row) for row in conn.execute(_CLAIMED, chosen)),
        worker=worker,
        lease_until=now + lease_s,
        token=token,
    )


def finish(
    conn: Connection,
    batch: DeliveryBatch,
    arrived: tuple[Acknowledgement, ...],
    failed: tuple[DeliveryFailure, ...],
    now: float,
    refused: tuple[DeliveryFailure, ...] = (),
) -> None:
    """Move every delivery of the batch on but the `refused`; raises LeaseLost."""
    done = [{"row_id": a.delivery_id, "words": clip(a.words), "now": now} for a in arrived]
    later = [
        {"row_id": f.delivery_id, "words": clip(f.failure.words), "due": f.failure.due_at}
        for f in failed
        if f.failure.due_at is not None
    ]
    dead = [
        {"row_id": f.delivery_id, "words": clip(f.failure.words), "now": now}
        for f in failed
        if f.failure.due_at is None
    ]
    named = {row["row_id"] for row in (*done, *later, *dead)}
    named |= {missed.delivery_id for missed in refused}
    untried = [{"row_id": d.id} for d in batch.deliveries if d.id not in named]
    for statement, rows in (
        (_FINISH, done),
        (_POSTPONE, later),
        (_GIVE_UP, dead),
        (_UNTRIED, untried),
    ):
        run_held(conn, statement, batch, rows, len(rows))
    for _ in dead:
        raise_dead_letter_alarm(conn, batch.destination, now)
    for words in {missed.failure.alarm for missed in failed if missed.failure.alarm}:
        raise_alarm(conn, NOT_UNDERSTOOD, f"{batch.destination}: {words}", now)
    if arrived:
        close_alarms(conn, NOT_UNDERSTOOD, now, f"{batch.destination}: ")


def replace(
    conn: Connection, batch: DeliveryBatch, refused: tuple[DeliveryFailure, ...], now: float
) -> tuple[DeliveryFailure, ...]:
    """Cancel refused deliveries and have their images read again; gives those that must wait.

    An image that is being read now may be reported by what was known before.
    Raises LeaseLost.
    """
    if not refused:
        return ()
    ids = {"ids": [missed.delivery_id for missed in refused]}
    whose = {row.id: row.instance_id for row in conn.execute(_WHOSE, ids)}
    ready = jobs.repeat(conn, sorted(set(whose.values())))
    going = [missed for missed in refused if whose[missed.delivery_id] in ready]
    rows = [{"row_id": missed.delivery_id, "words": clip(missed.failure.words)} for missed in going]
    run_held(conn, _REPLACE, batch, [row | {"now": now} for row in rows], len(rows))
    return tuple(
        DeliveryFailure(missed.delivery_id, Failure(now + AGAIN_S, missed.failure.words))
        for missed in refused
        if missed not in going
    )


def raise_dead_letter_alarm(conn: Connection, destination: str, now: float) -> None:
    """Raise the alarm for a dead letter; the destination's words stay in its row."""
    raise_alarm(conn, "delivery_discarded", f"{destination}: see its dead letters", now)
