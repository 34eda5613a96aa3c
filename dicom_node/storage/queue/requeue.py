"""Work that a person puts back into the queue."""

from sqlalchemy import Connection, Engine, Table, exists, select

from dicom_node.domain.admission import Route, admit
from dicom_node.domain.work import Event, State
from dicom_node.storage.database.rows import instance_from, key
from dicom_node.storage.database.schema import deliveries, instances, jobs
from dicom_node.storage.database.transactions import transaction
from dicom_node.storage.queue import jobs as queue_jobs
from dicom_node.storage.queue.transitions import close_alarms, in_state, step


def retry(
    engine: Engine,
    *,
    job_id: int | None = None,
    delivery_id: int | None = None,
    all_dead: bool = False,
    now: float,
) -> int:
    """Make dead letters available again; say how many.

    By id also a delivery that was replaced; `all_dead` takes the discarded ones.
    """
    with transaction(engine) as conn:
        count = 0
        if job_id is not None or all_dead:
            count += _retry(conn, jobs, job_id, now)
        if delivery_id is not None or all_dead:
            count += _retry(conn, deliveries, delivery_id, now)
        return count


def reanalyse(
    engine: Engine, *, study_uid: str | None = None, since: float = 0.0, now: float
) -> tuple[int, ...]:
    """Have stored images read again, after all new ones; give those that will be.

    All of a study, or all received `since` (POSIX s). What was read and is still
    kept counts; an image under way is left out.
    """
    with transaction(engine) as conn:
        return queue_jobs.reanalyse(conn, study_uid, since, now)


def readmit(
    engine: Engine,
    routes: tuple[Route, ...],
    *,
    study_uid: str | None = None,
    since: float = 0.0,
    reason: str = "",
    now: float,
) -> int:
    """Queue kept images that have no job and that a route takes now; say how many.

    All of a study, or all received `since` (POSIX s); of those not analysed for a
    reason that begins with `reason`.
    """
    chosen = select(instances).where(
        instances.c.expired_at.is_(None),
        instances.c.received_at >= since,
        instances.c.outcome.startswith(queue_jobs.NOT_ANALYSED + reason, autoescape=True),
        ~exists().where(jobs.c.instance_id == instances.c.id),
    )
    if study_uid is not None:
        chosen = chosen.where(instances.c.study_uid == key(study_uid))
    with transaction(engine) as conn:
        rows = conn.execute(chosen.order_by(instances.c.id)).all()
        return sum(
            queue_jobs.admit_again(
                conn, row.id, admit(instance_from(row.header), row.calling_ae, routes), now
            )
            for row in rows
        )


def _retry(conn: Connection, table: Table, row_id: int | None, now: float) -> int:
    chosen = in_state(table, State.DISCARDED) if row_id is None else table.c.id == row_id
    again = step(table, Event.RETRY).where(chosen)
    again = again.values(attempt=0, deaths=0, due_at=0.0, finished_at=None)
    rows = conn.execute(again.returning(table.c.instance_id)).all()
    if table is jobs:
        queue_jobs.reopen(conn, [row.instance_id for row in rows])
    if not conn.scalar(select(exists().where(in_state(table, State.DISCARDED)))):
        close_alarms(conn, "job_discarded" if table is jobs else "delivery_discarded", now)
    return len(rows)
