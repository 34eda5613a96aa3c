"""Counts what is in the database, for people to look at."""

from collections.abc import Iterable, Iterator
from typing import Any, Literal

from sqlalchemy import Connection, Engine, Table, and_, exists, func, select

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
from dicom_node.storage.status import status
from dicom_node.storage.status.beats import read_beats

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
            not_analysed=tuple(sorted(declined, key=lambda one: -one[1])[:MOST_LISTED]),
            dead_letters=_dead_letters(conn),
            senders=_senders(conn),
            callers=_callers(conn),
            alarms=_alarms(conn),
            replaced=_replaced(conn),
            processes=read_beats(conn),
            commitments=status.counted(conn, now),
        )


Counts = list[tuple[str, int, float]]
"""State, number of rows, when the oldest was created."""


def _counts(conn: Connection, table: Table) -> dict[str, Counts]:
    if table is deliveries:
        queue = deliveries.c.destination
        counting = select(queue, table.c.state, func.count(), func.min(table.c.created_at))
        counting = counting.group_by(queue, table.c.state).order_by(queue)
        rows = [tuple(row) for row in conn.execute(counting)]
    else:
        counting = select(table.c.state, func.count(), func.min(table.c.created_at))
        rows = [("jobs", *row) for row in conn.execute(counting.group_by(table.c.state))]
    counts: dict[str, Counts] = {}
    for name, state, count, oldest_at in rows:
        counts.setdefault(name, []).append((state, count, oldest_at))
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
    dead_jobs = (
        select(
            jobs.c.id,
            jobs.c.pipeline.label("place"),
            instances.c.sop_instance_uid.label("subject"),
            instances.c.study_uid,
            jobs.c.attempt,
            func.coalesce(jobs.c.last_error, "").label("words"),
            jobs.c.finished_at,
        )
        .join_from(jobs, instances, jobs.c.instance_id == instances.c.id)
        .where(in_state(jobs, State.DISCARDED))
        .order_by(jobs.c.finished_at.desc())
    )
    dead_deliveries = (
        select(
            deliveries.c.id,
            deliveries.c.destination.label("place"),
            (objects.c.kind + " " + objects.c.sop_instance_uid).label("subject"),
            deliveries.c.study_uid,
            deliveries.c.attempt,
            func.coalesce(deliveries.c.last_error, "").label("words"),
            deliveries.c.finished_at,
        )
        .join_from(deliveries, objects, deliveries.c.object_id == objects.c.id)
        .where(in_state(deliveries, State.DISCARDED))
        .order_by(deliveries.c.finished_at.desc())
    )
    letters = [
        *_letters("job", conn.execute(dead_jobs.limit(MOST_LISTED))),
        *_letters("delivery", conn.execute(dead_deliveries.limit(MOST_LISTED))),
    ]
    return tuple(sorted(letters, key=lambda letter: -letter.at)[:MOST_LISTED])


def _letters(kind: Literal["job", "delivery"], rows: Iterable[Any]) -> list[DeadLetter]:
    return [
        DeadLetter(
            kind=kind,
            id=row.id,
            where=row.place,
            subject=row.subject,
            study_uid=row.study_uid,
            attempt=row.attempt,
            words=row.words,
            at=row.finished_at,
        )
        for row in rows
    ]


def _senders(conn: Connection) -> tuple[Sender, ...]:
    ae = instances.c.calling_ae
    seen = select(ae, func.count(), func.max(instances.c.received_at)).group_by(ae).order_by(ae)
    return tuple(Sender(row[0], row[1], row[2]) for row in conn.execute(seen))


def _callers(conn: Connection) -> tuple[Caller, ...]:
    seen = select(callers).order_by(callers.c.last_at.desc()).limit(MOST_LISTED)
    return tuple(Caller(row.ae, row.host, row.times, row.last_at) for row in conn.execute(seen))


def _alarms(conn: Connection) -> tuple[Alarm, ...]:
    seen = select(alarms).where(alarms.c.closed_at.is_(None)).order_by(alarms.c.last_at.desc())
    return tuple(
        Alarm(row.kind, row.words, row.times, row.first_at, row.last_at)
        for row in conn.execute(seen.limit(MOST_LISTED))
    )


def _replaced(conn: Connection) -> tuple[Replaced, ...]:
    seen = select(replacements).order_by(replacements.c.destination, replacements.c.wanted)
    return tuple(
        Replaced(row.destination, row.wanted, row.sent, row.reason, row.last_at)
        for row in conn.execute(seen)
    )


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
        kept = list(status.moments(conn, uids))
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


def _of_job(row: Any, uid: str) -> list[Moment]:  # noqa: ANN401 - a row's columns have no type
    moments = []
    if row.claimed_at is not None:
        moments.append(Moment(row.claimed_at, "claimed", uid, row.pipeline, row.worker or ""))
    if row.state == State.COMPLETED.value:
        moments.append(Moment(row.finished_at, "finished", uid, row.pipeline, row.outcome or ""))
    if row.state == State.DISCARDED.value:
        moments.append(
            Moment(row.finished_at, "discarded", uid, row.pipeline, row.last_error or "")
        )
    return moments


def _of_delivery(row: Any, uid: str) -> list[Moment]:  # noqa: ANN401 - as above
    if row.state == State.COMPLETED.value:
        words = f"{row.destination}: {row.acknowledged or ''}"
        return [Moment(row.finished_at, "delivered", uid, row.kind, words)]
    if row.state == State.DISCARDED.value:
        words = f"{row.destination}: {row.last_error or ''}"
        return [Moment(row.finished_at, "discarded", uid, row.kind, words)]
    return []


OPEN = ("due", "asked", "sending")


def counted(conn: Connection, now: float) -> tuple[Commitments, ...]:
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
    told = []
    for name in dict.fromkeys(row.destination for row in rows):
        by_state = {row.state: row for row in rows if row.destination == name}
        waiting = [by_state[state] for state in OPEN if state in by_state]
        told.append(
            Commitments(
                destination=name,
                uncommitted=sum(row.rows for row in waiting),
                committed=by_state["committed"].rows if "committed" in by_state else 0,
                given_up=by_state["given up"].rows if "given up" in by_state else 0,
                oldest_s=max(0.0, now - min(row.oldest_at for row in waiting)) if waiting else None,
            )
        )
    return tuple(told)


def moments(conn: Connection, uids: dict[int, str]) -> Iterator[Moment]:
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
