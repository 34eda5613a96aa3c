"""Instances, their jobs, and what the jobs leave behind."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, exists, or_, select, update

from dicom_node.adapters.queue_rows import (
    arrival_from,
    arrival_row,
    ascii_json,
    clip,
    insert_new,
    instance_from,
    job_from,
    key,
    plain,
)
from dicom_node.adapters.queue_steps import claim_step, held_step, in_state, raise_alarm, step
from dicom_node.adapters.schema import deliveries, instances, jobs, objects, results
from dicom_node.domain.errors import TryAgain
from dicom_node.domain.findings import findings_as_json
from dicom_node.domain.work import (
    AGEING_S,
    PRIORITY_RANK,
    Admission,
    Arrival,
    Claim,
    Event,
    Failure,
    NewDelivery,
    NewJob,
    Outcome,
    Priority,
    Recorded,
    State,
)

NOT_ANALYSED = "not analysed: "
CLAIM_TRIES = 3


def order_at(since: float, priority: Priority) -> float:
    """Fold ageing into one fixed number to sort by.

    rank - waited / AGEING_S, with waited = now - since, sorts at any `now` like
    since + rank * AGEING_S, which an index can hold.
    """
    return since + AGEING_S * PRIORITY_RANK[priority]


def record(conn: Connection, arrival: Arrival, admission: Admission) -> Recorded:
    """Write an arrival and its jobs, or compare it with the known one."""
    reason = admission.not_analysed
    outcome = None if admission.jobs else clip(NOT_ANALYSED + (reason or "no pipeline"))
    row = arrival_row(arrival) | {"outcome": outcome}
    writing = insert_new(conn, instances).values(**row).returning(instances.c.id)
    instance_id = conn.scalar(writing)
    if instance_id is None:
        return _compare(conn, arrival)
    if admission.jobs:
        rows = [_job_row(instance_id, job, arrival.received_at) for job in admission.jobs]
        conn.execute(jobs.insert(), rows)
    return Recorded.NEW


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


def _compare(conn: Connection, arrival: Arrival) -> Recorded:
    uid = key(arrival.instance.ref.sop_instance_uid)
    known = conn.execute(select(instances).where(instances.c.sop_instance_uid == uid)).first()
    if known is None:  # pruned between the two statements
        raise TryAgain("the known instance is being removed")
    first = instance_from(known.header)
    new = arrival.instance
    if (known.file_sha256, first.study_uid, first.patient_id) == (
        arrival.file.sha256,
        new.study_uid,
        new.patient_id,
    ):
        return Recorded.SAME
    words = f"{uid} from {arrival.calling_ae} differs from the one stored first"
    raise_alarm(conn, "conflict", words, arrival.received_at)
    return Recorded.CONFLICT


def claim(conn: Connection, worker: str, now: float, lease_s: float) -> Claim | None:
    """Lease the due jobs of the instance whose turn it is."""
    turn = (
        select(instances)
        .join_from(jobs, instances, jobs.c.instance_id == instances.c.id)
        .where(in_state(jobs, State.AVAILABLE), jobs.c.due_at <= now)
        .order_by(jobs.c.order_at, jobs.c.id)
        .limit(1)
        # locking the instance keeps its other jobs from another worker
        .with_for_update(of=instances, key_share=True, skip_locked=True)
    )
    for _ in range(CLAIM_TRIES):
        instance = conn.execute(turn).first()
        if instance is None:
            return None
        leasing = claim_step(jobs, worker, now, lease_s).where(
            jobs.c.instance_id == instance.id, jobs.c.due_at <= now
        )
        rows = conn.execute(
            leasing.returning(jobs.c.id, jobs.c.pipeline, jobs.c.routes, jobs.c.attempt)
        ).all()
        if rows:  # none: another worker's commit came between snapshot and lock
            claimed = tuple(job_from(row) for row in sorted(rows, key=lambda row: row.id))
            return Claim(instance.id, arrival_from(instance), claimed, worker, now + lease_s)
    return None


def finish(conn: Connection, held: Claim, outcome: Outcome, now: float) -> None:
    """Write all that a claim leaves behind."""
    done = step(jobs, Event.FINISH).values(finished_at=now, last_error=None)
    held_step(conn, done, held, [job.id for job in held.jobs])
    _write_results(conn, held.instance_id, outcome, now)
    object_ids = _write_objects(conn, held.instance_id, outcome, now)
    if outcome.deliveries:
        study_uid = key(held.arrival.instance.study_uid)
        rows = [
            _delivery_row(delivery, now)
            | {
                "object_id": object_ids.get(key(delivery.sop_instance_uid)),
                "instance_id": held.instance_id,
                "study_uid": study_uid,
            }
            for delivery in outcome.deliveries
        ]
        conn.execute(insert_new(conn, deliveries), rows)
    reasons = [f.not_analysed for f in outcome.findings if f.not_analysed is not None]
    if len(reasons) < len(outcome.findings):
        settle_outcome(conn, [held.instance_id], "analysed", overrule=True)
    else:
        words = "; ".join(dict.fromkeys(reasons)) or "no pipeline answered"
        settle_outcome(conn, [held.instance_id], NOT_ANALYSED + words)


def _write_results(conn: Connection, instance_id: int, outcome: Outcome, now: float) -> None:
    rows = [
        {
            "instance_id": instance_id,
            "pipeline": findings.algorithm.name,
            "version": findings.algorithm.version,
            "model_sha256": findings.algorithm.model_sha256,
            "findings": ascii_json(findings_as_json(findings)),
            "created_at": now,
        }
        for findings in outcome.findings
    ]
    if rows:
        conn.execute(insert_new(conn, results), rows)


def _write_objects(
    conn: Connection, instance_id: int, outcome: Outcome, now: float
) -> dict[str, int]:
    """Write the objects and give the ids of all that deliveries name, by UID."""
    rows = [
        {
            "instance_id": instance_id,
            "kind": made.kind,
            "sop_class_uid": plain(made.sop_class_uid),
            "sop_instance_uid": key(made.sop_instance_uid),
            "series_uid": plain(made.series_uid),
            "file_key": file.key,
            "file_sha256": file.sha256,
            "file_size": file.size,
            "created_at": now,
        }
        for made, file in outcome.objects
    ]
    if rows:
        conn.execute(insert_new(conn, objects), rows)
    uids = {key(delivery.sop_instance_uid) for delivery in outcome.deliveries}
    named = select(objects.c.sop_instance_uid, objects.c.id)
    found = conn.execute(named.where(objects.c.sop_instance_uid.in_(sorted(uids)))) if uids else ()
    return {row.sop_instance_uid: row.id for row in found}


def _delivery_row(delivery: NewDelivery, now: float) -> dict[str, object]:
    return {
        "destination": plain(delivery.destination),
        "protocol": delivery.protocol,
        "priority": delivery.priority,
        "after_objects": delivery.after_objects,
        "order_at": order_at(now, delivery.priority),
        "due_at": 0.0,
        "state": State.AVAILABLE.value,
        "attempt": 0,
        "deaths": 0,
        "created_at": now,
    }


def fail(conn: Connection, held: Claim, failure: Failure, now: float) -> None:
    """Postpone or discard a claim's jobs."""
    ids = [job.id for job in held.jobs]
    words = clip(failure.words)
    if failure.due_at is not None:
        later = step(jobs, Event.POSTPONE).values(due_at=failure.due_at, last_error=words)
        held_step(conn, later, held, ids)
        return
    dead = step(jobs, Event.GIVE_UP).values(finished_at=now, last_error=words)
    held_step(conn, dead, held, ids)
    mourn(conn, [held.instance_id], words, now)


def mourn(conn: Connection, instance_ids: Sequence[int], words: str, now: float) -> None:
    """Show discarded jobs: an outcome for each instance, and an alarm."""
    settle_outcome(conn, instance_ids, f"{NOT_ANALYSED}failed: {words}")
    for _ in instance_ids:
        raise_alarm(conn, "job_discarded", words, now)


def settle_outcome(
    conn: Connection, instance_ids: Sequence[int], words: str, *, overrule: bool = False
) -> None:
    """Say what became of instances that have no unfinished job left.

    `overrule` puts "analysed" in the place of an earlier "not analysed".
    """
    unfinished = exists().where(
        jobs.c.instance_id == instances.c.id, in_state(jobs, State.AVAILABLE, State.EXECUTING)
    )
    known: ColumnElement[bool] = instances.c.outcome.is_(None)
    chosen = instances.c.id.in_(instance_ids)
    condition = chosen if overrule else chosen & known & ~unfinished
    conn.execute(update(instances).where(condition).values(outcome=clip(words)))


def reopen(conn: Connection, rows: Sequence[Row[Any]]) -> None:
    """Forget the outcome of instances whose jobs were made available again."""
    ids = [row.instance_id for row in rows]
    declined = or_(instances.c.outcome.is_(None), instances.c.outcome != "analysed")
    forgetting = update(instances).where(instances.c.id.in_(ids), declined)
    conn.execute(forgetting.values(outcome=None))
