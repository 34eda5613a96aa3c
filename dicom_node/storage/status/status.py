"""Counts what is in the database, for people to look at."""

from collections.abc import Iterable, Iterator
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Engine, Table, and_, exists, func, literal, select

from dicom_node.domain.operations.status import (
    Alarm,
    Caller,
    Commitments,
    DeadLetter,
    Depth,
    Moment,
    Replaced,
    Sender,
    StatusSnapshot,
)
from dicom_node.domain.work import State
from dicom_node.storage.database.rows import key
from dicom_node.storage.database.schema import (
    alarms,
    callers,
    commitments,
    deliveries,
    instances,
    jobs,
    objects,
    replacements,
)
from dicom_node.storage.database.transactions import transaction
from dicom_node.storage.queue.jobs import NOT_ANALYSED
from dicom_node.storage.queue.transitions import UNFINISHED, in_state
from dicom_node.storage.status.heartbeats import read_heartbeats

MOST_LISTED = 100
"""Dead letters, alarms, callers and reasons: the newest or most frequent of each."""


def take_snapshot(engine: Engine, now: float) -> StatusSnapshot:
    """Count everything in one consistent reading."""
    with transaction(engine, writing=False) as conn:
        outcomes = dict(_outcomes(conn))
        declined = [
            (words.removeprefix(NOT_ANALYSED), count)
            for words, count in outcomes.items()
            if words not in ("", "analysed")
        ]
        return StatusSnapshot(
            at=now,
            jobs=_depth("jobs", _counts(conn, jobs).get("jobs", []), now),
            deliveries=tuple(
                _depth(name, counts, now) for name, counts in _counts(conn, deliveries).items()
            ),
            analysed=outcomes.get("analysed", 0),
            pending=outcomes.get("", 0),
            not_analysed=tuple(sorted(declined, key=lambda row: -row[1])[:MOST_LISTED]),
            dead_letters=_dead_letters(conn),
            senders=_senders(conn),
            callers=_callers(conn),
            alarms=_alarms(conn),
            replaced=_replaced(conn),
            processes=read_heartbeats(conn),
            commitments=_commitments(conn, now),
        )


Counts = list[tuple[str, int, float]]
"""State, number of rows, when the oldest was created."""


def _counts(conn: Connection, table: Table) -> dict[str, Counts]:
    """Count the rows of each queue: one for jobs, one for each destination."""
    queue = deliveries.c.destination if table is deliveries else literal("jobs")
    counting = select(queue, table.c.state, func.count(), func.min(table.c.created_at))
    counts: dict[str, Counts] = {}
    for name, *row in conn.execute(counting.group_by(queue, table.c.state).order_by(queue)):
        counts.setdefault(name, []).append(tuple(row))
    return counts


def _depth(queue: str, counts: Counts, now: float) -> Depth:
    by_state = {state: count for state, count, _ in counts}
    waiting = [oldest_at for state, _, oldest_at in counts if State(state) in UNFINISHED]
    return Depth(
        queue=queue,
        available=by_state.get("available", 0),
        executing=by_state.get("executing", 0),
        completed=by_state.get("completed", 0),
        discarded=by_state.get("discarded", 0),
        cancelled=by_state.get("cancelled", 0),
        oldest_s=max(0.0, now - min(waiting)) if waiting else None,
    )


def _outcomes(conn: Connection) -> Iterable[tuple[str, int]]:
    counting = select(instances.c.outcome, func.count()).group_by(instances.c.outcome)
    return [(row[0] or "", row[1]) for row in conn.execute(counting)]


def _dead_letters(conn: Connection) -> tuple[DeadLetter, ...]:
    letters = [
        *_letters(conn, "job", jobs, jobs.c.pipeline, instances.c.sop_instance_uid),
        *_letters(
            conn,
            "delivery",
            deliveries,
            deliveries.c.destination,
            objects.c.kind + " " + objects.c.sop_instance_uid,
        ),
    ]
    return tuple(sorted(letters, key=lambda letter: -letter.at)[:MOST_LISTED])


def _letters(
    conn: Connection,
    kind: Literal["job", "delivery"],
    work: Table,
    place: ColumnElement[str],
    subject: ColumnElement[str],
) -> Iterator[DeadLetter]:
    words = func.coalesce(work.c.last_error, "")
    dead = (
        select(work.c.id, place, subject, instances.c.study_uid, work.c.attempt, words)
        .add_columns(work.c.finished_at)
        .join_from(work, instances, work.c.instance_id == instances.c.id)
        .where(in_state(work, State.DISCARDED))
        .order_by(work.c.finished_at.desc())
        .limit(MOST_LISTED)
    )
    if work is deliveries:
        dead = dead.join(objects, work.c.object_id == objects.c.id)
    return (DeadLetter(kind, *row) for row in conn.execute(dead))


def _senders(conn: Connection) -> tuple[Sender, ...]:
    ae = instances.c.calling_ae
    seen = select(ae, func.count(), func.max(instances.c.received_at)).group_by(ae).order_by(ae)
    return tuple(Sender(*row) for row in conn.execute(seen))


def _callers(conn: Connection) -> tuple[Caller, ...]:
    seen = select(*callers.c["ae", "host", "times", "last_at"]).order_by(callers.c.last_at.desc())
    return tuple(Caller(*row) for row in conn.execute(seen.limit(MOST_LISTED)))


def _alarms(conn: Connection) -> tuple[Alarm, ...]:
    seen = select(*alarms.c["kind", "words", "times", "first_at", "last_at"])
    seen = seen.where(alarms.c.closed_at.is_(None)).order_by(alarms.c.last_at.desc())
    return tuple(Alarm(*row) for row in conn.execute(seen.limit(MOST_LISTED)))


def _replaced(conn: Connection) -> tuple[Replaced, ...]:
    seen = select(*replacements.c["destination", "wanted", "sent", "reason", "last_at"])
    seen = seen.order_by(replacements.c.destination, replacements.c.wanted)
    return tuple(Replaced(*row) for row in conn.execute(seen))


def timeline(engine: Engine, study_uid: str) -> tuple[Moment, ...]:
    """Tell the way of a study through the node, in order of time."""
    with transaction(engine, writing=False) as conn:
        of_study = instances.c.study_uid == key(study_uid)
        received = conn.execute(select(instances).where(of_study)).all()
        uids = {row.id: row.sop_instance_uid for row in received}
        worked = conn.execute(
            select(jobs, instances.c.outcome)
            .join_from(jobs, instances, jobs.c.instance_id == instances.c.id)
            .where(of_study)
        ).all()
        sent = conn.execute(
            select(deliveries, objects.c.kind)
            .join_from(deliveries, objects, deliveries.c.object_id == objects.c.id)
            .where(deliveries.c.instance_id.in_(list(uids)))
        ).all()
        kept = list(_committed(conn, uids))
    moments = [
        Moment(row.received_at, "received", row.sop_instance_uid, row.calling_ae, row.outcome or "")
        for row in received
    ]
    for row in worked:
        moments += _of_job(row, uids[row.instance_id])
    for row in sent:
        moments += _of_delivery(row, uids[row.instance_id])
    return tuple(sorted([*moments, *kept], key=lambda moment: moment.at))


def stored_of_study(engine: Engine, study_uid: str) -> tuple[tuple[str, str], ...]:
    """Give archive key and calling AE title of every image of a study that is still kept."""
    with transaction(engine, writing=False) as conn:
        found = conn.execute(
            select(instances.c.file_key, instances.c.calling_ae)
            .where(instances.c.study_uid == key(study_uid), instances.c.expired_at.is_(None))
            .order_by(instances.c.id)
        ).all()
    return tuple((row.file_key, row.calling_ae) for row in found)


def _of_job(row: Any, uid: str) -> Iterator[Moment]:  # noqa: ANN401 - a row's columns have no type
    if row.claimed_at is not None:
        yield Moment(row.claimed_at, "claimed", uid, row.pipeline, row.worker or "")
    if row.state == State.COMPLETED.value:
        yield Moment(row.finished_at, "finished", uid, row.pipeline, row.outcome or "")
    if row.state == State.DISCARDED.value:
        yield Moment(row.finished_at, "discarded", uid, row.pipeline, row.last_error or "")


def _of_delivery(row: Any, uid: str) -> Iterator[Moment]:  # noqa: ANN401 - as above
    if row.state == State.COMPLETED.value:
        words = f"{row.destination}: {row.acknowledged or ''}"
        yield Moment(row.finished_at, "delivered", uid, row.kind, words)
    if row.state == State.DISCARDED.value:
        words = f"{row.destination}: {row.last_error or ''}"
        yield Moment(row.finished_at, "discarded", uid, row.kind, words)


OPEN = ("due", "asked", "sending")


def _commitments(conn: Connection, now: float) -> tuple[Commitments, ...]:
    """Say of each peer how much it took is committed, and how much is not."""
    # what was to be sent again and is not: another object took its place
    replaced = exists().where(
        deliveries.c.id == commitments.c.delivery_id, in_state(deliveries, State.CANCELLED)
    )
    moot = and_(commitments.c.state == "sending", replaced)
    counting = (
        select(
            commitments.c.destination,
            commitments.c.state,
            func.count().label("rows"),
            func.min(commitments.c.sent_at).label("oldest_at"),
        )
        .where(~moot)
        .group_by(commitments.c.destination, commitments.c.state)
        .order_by(commitments.c.destination)
    )
    rows = conn.execute(counting).all()
    by_destination = []
    for name in dict.fromkeys(row.destination for row in rows):
        by_state = {row.state: row for row in rows if row.destination == name}
        waiting = [by_state[state] for state in OPEN if state in by_state]
        by_destination.append(
            Commitments(
                destination=name,
                uncommitted=sum(row.rows for row in waiting),
                committed=by_state["committed"].rows if "committed" in by_state else 0,
                given_up=by_state["given up"].rows if "given up" in by_state else 0,
                oldest_s=max(0.0, now - min(row.oldest_at for row in waiting)) if waiting else None,
            )
        )
    return tuple(by_destination)


def _committed(conn: Connection, uids: dict[int, str]) -> Iterator[Moment]:
    """Tell when the results of these instances were committed; `uids` by row id."""
    found = conn.execute(
        select(
            commitments.c.settled_at,
            commitments.c.instance_id,
            commitments.c.destination,
            commitments.c.transaction_uid,
            objects.c.kind,
        )
        .join_from(commitments, objects, commitments.c.object_id == objects.c.id)
        .where(commitments.c.instance_id.in_(list(uids)), commitments.c.state == "committed")
    )
    for row in found:
        words = f"{row.destination}: transaction {row.transaction_uid}"
        yield Moment(row.settled_at, "committed", uids[row.instance_id], row.kind, words)
