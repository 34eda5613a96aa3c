"""Instances and their jobs."""

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, Double, bindparam, exists, select, update

from dicom_node.domain.errors import TryAgain
from dicom_node.domain.work import (
    AGEING_S,
    PRIORITY_RANK,
    Admission,
    Arrival,
    Claim,
    Event,
    Failure,
    NewJob,
    Priority,
    Recorded,
    State,
)
from dicom_node.storage.database.rows import (
    arrival_from,
    arrival_row,
    ascii_json,
    clip,
    insert_new,
    instance_from,
    job_from,
    key,
    one_or_many,
)
from dicom_node.storage.database.schema import instances, jobs
from dicom_node.storage.queue.transitions import (
    IDS,
    NOW,
    ROW_ID,
    UNFINISHED,
    WORDS,
    claim_step,
    held_step,
    in_state,
    lease,
    new_token,
    raise_alarm,
    run_held,
    step,
)

NOT_ANALYSED = "not analysed: "
CLAIM_TRIES = 3
MOST_AT_ONCE = 500
"""Identifiers in one statement; a database takes no more than some thousand."""

_KNOWN = select(instances).where(instances.c.sop_instance_uid == bindparam("uid"))
TURN = (
    select(instances)
    .join_from(jobs, instances, jobs.c.instance_id == instances.c.id)
    .where(in_state(jobs, State.AVAILABLE), jobs.c.due_at <= NOW)
    .order_by(jobs.c.order_at, jobs.c.id)
    .limit(1)
    # locking the instance keeps its other jobs from another worker
    .with_for_update(of=instances, key_share=True, skip_locked=True)
)
_NEW_JOB = jobs.insert()
_HAS_JOB = select(exists().where(jobs.c.instance_id == ROW_ID))
_CLAIM = (
    claim_step(jobs)
    .where(jobs.c.instance_id == ROW_ID, jobs.c.due_at <= NOW)
    .returning(jobs.c.id, jobs.c.pipeline, jobs.c.routes, jobs.c.attempt)
)
_OURS = jobs.c.instance_id == ROW_ID
_FINISH = held_step(jobs, Event.FINISH).where(_OURS).values(finished_at=NOW, last_error=None)
_POSTPONE = (
    held_step(jobs, Event.POSTPONE)
    .where(_OURS)
    .values(due_at=bindparam("due", type_=Double), last_error=WORDS)
)
_GIVE_UP = held_step(jobs, Event.GIVE_UP).where(_OURS).values(finished_at=NOW, last_error=WORDS)
_OF_THESE = jobs.c.instance_id.in_(IDS)
_REPEAT = (
    step(jobs, Event.REPEAT)
    .where(_OF_THESE)
    .values(attempt=0, deaths=0, due_at=0.0, finished_at=None)
)
_BUSY = select(jobs.c.instance_id).where(_OF_THESE, in_state(jobs, State.EXECUTING))
_UNFINISHED = exists().where(jobs.c.instance_id == instances.c.id, in_state(jobs, *UNFINISHED))
_ANALYSED = update(instances).where(instances.c.id == ROW_ID).values(outcome="analysed")
_NOT_ANALYSED = (
    update(instances)
    .where(instances.c.id.in_(IDS), instances.c.outcome.is_(None), ~_UNFINISHED)
    .values(outcome=WORDS)
)
_REOPEN = (
    update(instances)
    .where(instances.c.id.in_(IDS), instances.c.outcome != "analysed")
    .values(outcome=None)
)


def order_at(since: float, priority: Priority) -> float:
    """Fold ageing into one fixed number to sort by.

    rank - waited / AGEING_S, with waited = now - since, sorts at any `now` like
    since + rank * AGEING_S, which an index can hold.
    """
    return since + AGEING_S * PRIORITY_RANK[priority]


def record(conn: Connection, arrival: Arrival, admission: Admission) -> Recorded:
    """Write an arrival and its jobs, or compare it with the known one."""
    reason = admission.not_analysed or "no pipeline"
    outcome = None if admission.jobs else clip(NOT_ANALYSED + reason)
    row = arrival_row(arrival) | {"outcome": outcome}
    instance_id = conn.scalar(insert_new(conn, instances).returning(instances.c.id), row)
    if instance_id is None:
        return _compare(conn, arrival, admission)
    _queue(conn, instance_id, admission, arrival.received_at)
    return Recorded.NEW


def admit_again(conn: Connection, instance_id: int, admission: Admission, now: float) -> bool:
    """Queue an instance that has no job, as one that no route took; say whether it has now."""
    if not admission.jobs or conn.scalar(_HAS_JOB, {"row_id": instance_id}):
        return False
    _queue(conn, instance_id, admission, now)
    conn.execute(update(instances).where(instances.c.id == instance_id).values(outcome=None))
    return True


def _queue(conn: Connection, instance_id: int, admission: Admission, at: float) -> None:
    if admission.jobs:
        rows = [_job_row(instance_id, job, at) for job in admission.jobs]
        conn.execute(_NEW_JOB, one_or_many(rows))


def _job_row(instance_id: int, job: NewJob, received_at: float) -> dict[str, object]:
    return {
        "instance_id": instance_id,
        "pipeline": job.pipeline,
        "routes": ascii_json(job.routes),
        "priority": job.priority,
        "order_at": order_at(received_at, job.priority),
        "due_at": 0.0,  # at once, whatever the worker's clock says
        "state": State.AVAILABLE.value,
        "attempt": 0,
        "deaths": 0,
        "created_at": received_at,
    }


def _compare(conn: Connection, arrival: Arrival, admission: Admission) -> Recorded:
    """Keep the first; the same one again is kept once more where its file had expired."""
    uid = key(arrival.instance.ref.sop_instance_uid)
    known = conn.execute(_KNOWN, {"uid": uid}).first()
    if known is None:  # pruned between the two statements
        raise TryAgain("the known instance is being removed")
    first, new = instance_from(known.header), arrival.instance
    same = (known.file_sha256, first.study_uid, first.patient_id) == (
        arrival.file.sha256,
        new.study_uid,
        new.patient_id,
    )
    if same:
        if known.expired_at is not None:
            again = {"file_key": arrival.file.key, "received_at": arrival.received_at}
            kept = update(instances).where(instances.c.id == known.id)
            conn.execute(kept.values(again | {"expired_at": None}))
        admit_again(conn, known.id, admission, arrival.received_at)
        return Recorded.SAME
    words = f"{uid} from {arrival.calling_ae} differs from the one stored first"
    raise_alarm(conn, "conflict", words, arrival.received_at)
    return Recorded.CONFLICT


def claim(conn: Connection, worker: str, now: float, lease_s: float) -> Claim | None:
    """Lease the due jobs of the instance whose turn it is."""
    token = new_token()
    for _ in range(CLAIM_TRIES):
        instance = conn.execute(TURN, {"now": now}).first()
        if instance is None:
            return None
        chosen = lease(worker, now, lease_s, token) | {"row_id": instance.id}
        rows = conn.execute(_CLAIM, chosen).all()
        if rows:  # none: another worker's commit came between snapshot and lock
            claimed = tuple(job_from(row) for row in sorted(rows, key=lambda row: row.id))
            return Claim(instance.id, arrival_from(instance), claimed, worker, now + lease_s, token)
    return None


def complete(conn: Connection, held: Claim, now: float) -> None:
    """Complete the claim's jobs; raises LeaseLost."""
    row = {"row_id": held.instance_id, "now": now}
    run_held(conn, _FINISH, held, [row], len(held.jobs))


def fail(conn: Connection, held: Claim, failure: Failure, now: float) -> None:
    """Postpone or discard the claim's jobs; raises LeaseLost."""
    words = clip(failure.words)
    row = {"row_id": held.instance_id, "words": words}
    if failure.due_at is not None:
        run_held(conn, _POSTPONE, held, [row | {"due": failure.due_at}], len(held.jobs))
        return
    run_held(conn, _GIVE_UP, held, [row | {"now": now}], len(held.jobs))
    raise_dead_letter_alarm(conn, [held.instance_id], words, now)


def repeat(
    conn: Connection, instance_ids: Sequence[int], *, low_at: float | None = None
) -> set[int]:
    """Have images read again by all that read them; gives those that will be.

    An image under way is left out. With `low_at` they wait, as of then, with low
    priority behind new ones.
    """
    statement = _REPEAT
    if low_at is not None:
        statement = _REPEAT.values(priority="low", order_at=order_at(low_at, "low"))
    conn.execute(statement, {"ids": instance_ids})
    busy = conn.execute(_BUSY, {"ids": instance_ids})
    return set(instance_ids) - {row.instance_id for row in busy}


def reanalyse(conn: Connection, study_uid: str | None, since: float, now: float) -> tuple[int, ...]:
    """Repeat all that is kept and done, of one study or received `since`."""
    done = exists().where(jobs.c.instance_id == instances.c.id, in_state(jobs, State.COMPLETED))
    kept = select(instances.c.id).where(
        instances.c.expired_at.is_(None), instances.c.received_at >= since, done
    )
    if study_uid is not None:
        kept = kept.where(instances.c.study_uid == key(study_uid))
    ids = conn.scalars(kept.order_by(instances.c.id)).all()
    again = [repeat(conn, some, low_at=now) for some in _in_parts(ids)]
    return tuple(sorted(set().union(*again)))


def raise_dead_letter_alarm(
    conn: Connection, instance_ids: Sequence[int], words: str, now: float
) -> None:
    """Show discarded jobs: an outcome for each instance, and an alarm."""
    record_not_analysed(conn, instance_ids, f"failed: {words}")
    for _ in instance_ids:
        raise_alarm(conn, "job_discarded", words, now)


def record_analysed(conn: Connection, instance_id: int) -> None:
    """Say that a pipeline read the instance, whatever became of others."""
    conn.execute(_ANALYSED, {"row_id": instance_id})


def record_not_analysed(conn: Connection, instance_ids: Sequence[int], reason: str) -> None:
    """Say why, for those instances that no job can change any more."""
    conn.execute(_NOT_ANALYSED, {"ids": instance_ids, "words": clip(NOT_ANALYSED + reason)})


def reopen(conn: Connection, instance_ids: Sequence[int]) -> None:
    """Forget why instances were not analysed: their jobs are tried again."""
    for some in _in_parts(instance_ids):
        conn.execute(_REOPEN, {"ids": some})


def _in_parts(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(ids), MOST_AT_ONCE):
        yield ids[start : start + MOST_AT_ONCE]
