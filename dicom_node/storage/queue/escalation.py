"""Messages to the next receiver, sent when another is not acknowledged."""

from collections.abc import Iterable
from itertools import groupby
from operator import attrgetter
from typing import Any, cast

from sqlalchemy import (
    BigInteger,
    Connection,
    Engine,
    Text,
    and_,
    bindparam,
    literal_column,
    select,
    update,
)

from dicom_node.domain.delivery import Fate, Step, decide
from dicom_node.domain.work import Claim, DeliveryBatch, Escalation, Outcome, State
from dicom_node.storage.database.rows import insert_new, key, plain
from dicom_node.storage.database.schema import deliveries, escalations
from dicom_node.storage.database.transactions import transaction
from dicom_node.storage.queue.deliveries import new_row, object_ids
from dicom_node.storage.queue.transitions import IDS, close_alarms, raise_alarm

_WAITING = escalations.c.fate == literal_column("'waiting'")
_OPEN = select(escalations.c.message_id).where(_WAITING).distinct()
_OPEN_BESIDE = _OPEN.where(
    escalations.c.instance_id.in_(select(deliveries.c.instance_id).where(deliveries.c.id.in_(IDS)))
)
_LOCKED = (
    select(escalations.c.id)
    .where(escalations.c.message_id.in_(IDS))
    .order_by(escalations.c.id)  # in one order: two processes cannot wait for each other
    .with_for_update()
)
_MESSAGES = select(deliveries.c.object_id, deliveries.c.state, deliveries.c.destination).where(
    deliveries.c.object_id.in_(IDS)
)
_STEPS = (
    select(escalations, deliveries.c.state)
    .join_from(
        escalations,
        deliveries,
        and_(
            deliveries.c.object_id == escalations.c.object_id,
            deliveries.c.destination == escalations.c.destination,
            escalations.c.fate == literal_column("'sent'"),
        ),
        isouter=True,
    )
    .where(escalations.c.message_id.in_(IDS))
    .order_by(escalations.c.message_id, escalations.c.place)
)
_DECIDED = (
    update(escalations)
    .where(escalations.c.id == bindparam("row_id", type_=BigInteger))
    .values(fate=bindparam("new_fate", type_=Text))
)


def record_escalations(conn: Connection, held: Claim, outcome: Outcome, now: float) -> None:
    """Write the escalations of an outcome, but for who is notified directly; known ones stay."""
    notified = {
        (delivery.sop_instance_uid, delivery.destination) for delivery in outcome.deliveries
    }
    wanted = [s for s in outcome.escalations if (s.sop_instance_uid, s.destination) not in notified]
    if not wanted:
        return
    ids = object_ids(
        conn,
        (
            uid
            for escalation in wanted
            for uid in (escalation.sop_instance_uid, escalation.instead_of)
        ),
    )
    rows = [_row(escalation, ids, held, now) for escalation in wanted]
    conn.execute(insert_new(conn, escalations), rows)


def _row(escalation: Escalation, ids: dict[str, int], held: Claim, now: float) -> dict[str, object]:
    return {
        "instance_id": held.instance_id,
        "study_uid": key(held.arrival.instance.study_uid),
        "message_id": ids[key(escalation.instead_of)],
        "place": escalation.place,
        "object_id": ids[key(escalation.sop_instance_uid)],
        "destination": plain(escalation.destination),
        "due_at": escalation.due_at,
        "fate": "waiting",
        "created_at": now,
    }


def escalate(engine: Engine, now: float) -> int:
    """Send the escalations that are due; say how many."""
    with transaction(engine, writing=False) as conn:
        if not conn.execute(_OPEN.limit(1)).first():
            return 0
    with transaction(engine) as conn:
        return _advance(conn, list(conn.execute(_OPEN).scalars()), now)


def advance_escalations(conn: Connection, batch: DeliveryBatch, arrived: bool, now: float) -> None:
    """Send or cancel the escalations of messages that were taken or refused just now."""
    if batch.protocol != "mllp":
        return
    ids = {"ids": [delivery.id for delivery in batch.deliveries]}
    _advance(conn, list(conn.execute(_OPEN_BESIDE, ids).scalars()), now)
    if arrived:
        close_alarms(conn, _kind(batch.destination), now)


def _advance(conn: Connection, message_ids: list[int], now: float) -> int:
    if not message_ids:
        return 0
    open_ones = {"ids": sorted(message_ids)}
    conn.execute(_LOCKED, open_ones)  # so that two processes do not both send
    messages = {row.object_id: row for row in conn.execute(_MESSAGES, open_ones)}
    sent = 0
    steps = conn.execute(_STEPS, open_ones).all()
    for message_id, rows in groupby(steps, attrgetter("message_id")):
        sent += _advance_message(conn, messages.get(message_id), list(rows), now)
    return sent


def _advance_message(conn: Connection, message: Any, rows: list[Any], now: float) -> int:  # noqa: ANN401 - rows of SQLAlchemy
    by_place = {row.place: row for row in rows}
    state = None if message is None else State(message.state)
    fates = list(decide(state, list(_steps(rows)), now))
    for step, fate in fates:
        row = by_place[step.place]
        conn.execute(_DECIDED, {"row_id": row.id, "new_fate": fate})
        if fate == "sent":
            conn.execute(insert_new(conn, deliveries), _delivery_row(row, now))
            words = f"{row.destination} heard: no acknowledgement of an urgent finding"
            raise_alarm(conn, _kind(message.destination), words, now)
    return sum(fate == "sent" for _, fate in fates)


def _steps(rows: Iterable[Any]) -> Iterable[Step]:
    for row in rows:
        delivery = None if row.state is None else State(row.state)
        yield Step(row.place, row.due_at, cast(Fate, row.fate), delivery)


def _kind(destination: str) -> str:
    return key(f"escalated from {destination}")


def _delivery_row(row: Any, now: float) -> dict[str, object]:  # noqa: ANN401 - a row of SQLAlchemy
    whose = {"object_id": row.object_id, "instance_id": row.instance_id, "study_uid": row.study_uid}
    return new_row(row.destination, "mllp", "urgent", now) | whose
