"""The ledger on SQLite or Postgres."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, Table, exists, select

from dicom_node.domain.work import (
    DELIVERY_RETRY,
    JOB_RETRY,
    Acknowledgement,
    Admission,
    Arrival,
    Claim,
    DeliveryBatch,
    DeliveryFailure,
    Event,
    Failure,
    Outcome,
    Recorded,
    State,
)
from dicom_node.storage.database.notify import notify
from dicom_node.storage.database.rows import key
from dicom_node.storage.database.schema import deliveries, jobs
from dicom_node.storage.database.transactions import transaction
from dicom_node.storage.queue import commitments, escalation, results
from dicom_node.storage.queue import deliveries as queue_deliveries
from dicom_node.storage.queue import jobs as queue_jobs
from dicom_node.storage.queue.callers import record_unknown_caller
from dicom_node.storage.queue.transitions import (
    close_alarms,
    died_often,
    extend_step,
    in_state,
    raise_alarm,
    recall,
    rescue,
    step,
)

_EXTEND_JOBS = extend_step(jobs)
_EXTEND_DELIVERIES = extend_step(deliveries)


@dataclass(frozen=True, slots=True)
class SqlLedger:
    """`domain.ports.Ledger` over one engine; safe to share between threads."""

    engine: Engine
    committing: frozenset[str] = frozenset()
    """Destinations that are asked for storage commitment."""

    def record(self, arrival: Arrival, admission: Admission) -> Recorded:
        """Write the instance and its jobs, or find that it is known."""
        return self.record_all([(arrival, admission)])[0]

    def record_all(self, arrived: Sequence[tuple[Arrival, Admission]]) -> list[Recorded]:
        """Record several in one transaction: all of them, or none and it raises."""
        with transaction(self.engine) as conn:
            recorded = [queue_jobs.record(conn, *arrival) for arrival in arrived]
            admitted = zip(recorded, arrived, strict=True)
            if any(done is Recorded.NEW and admission[1].jobs for done, admission in admitted):
                notify(conn, "jobs")
            return recorded

    def claim_jobs(self, worker: str, now: float, lease_s: float) -> Claim | None:
        """Lease all due jobs of the instance whose turn it is."""
        with transaction(self.engine, durable=False) as conn:
            return queue_jobs.claim(conn, worker, now, lease_s)

    def finish_jobs(self, claim: Claim, outcome: Outcome, now: float) -> None:
        """Write findings, objects, deliveries and completed jobs in one commit."""
        with transaction(self.engine) as conn:
            queue_jobs.complete(conn, claim, now)
            results.write(conn, claim, outcome, now)
            if outcome.deliveries:
                notify(conn, "deliveries")

    def fail_jobs(self, claim: Claim, failure: Failure, now: float) -> None:
        """Postpone or discard the claim's jobs; raises LeaseLost."""
        with transaction(self.engine) as conn:
            queue_jobs.fail(conn, claim, failure, now)

    def claim_deliveries(
        self, worker: str, now: float, lease_s: float, destination: str | None = None
    ) -> DeliveryBatch | None:
        """Lease due deliveries of one study to one destination, or to `destination`."""
        with transaction(self.engine, durable=False) as conn:
            return queue_deliveries.claim(conn, worker, now, lease_s, destination)

    def finish_deliveries(
        self,
        batch: DeliveryBatch,
        arrived: tuple[Acknowledgement, ...],
        failed: tuple[DeliveryFailure, ...],
        now: float,
        refused: tuple[DeliveryFailure, ...] = (),
    ) -> None:
        """Move every delivery of the batch on; raises LeaseLost."""
        with transaction(self.engine) as conn:
            late = queue_deliveries.replace(conn, batch, refused, now)
            queue_deliveries.finish(conn, batch, arrived, (*failed, *late), now, refused)
            notify(conn, "jobs" if refused else "deliveries")
            escalation.advance_escalations(conn, batch, bool(arrived), now)
            if batch.destination in self.committing:
                commitments.request_commitment_later(conn, arrived, now)

    def extend_lease(self, held: Claim | DeliveryBatch, now: float, lease_s: float) -> bool:
        """Push the lease on; False when it is no longer ours."""
        if isinstance(held, Claim):
            statement, ids = _EXTEND_JOBS, [job.id for job in held.jobs]
        else:
            statement, ids = _EXTEND_DELIVERIES, [delivery.id for delivery in held.deliveries]
        chosen = {"ids": ids, "holder": held.worker, "token": held.token}
        with transaction(self.engine, durable=False) as conn:
            pushed = conn.execute(statement, chosen | {"until": now + lease_s})
            return pushed.rowcount == len(ids)

    def rescue(self, now: float) -> int:
        """Free work whose lease ran out; discard what killed its worker too often."""
        with transaction(self.engine) as conn:
            for table, rule in ((jobs, JOB_RETRY), (deliveries, DELIVERY_RETRY)):
                recall(conn, table, rule, now)
            freed = rescue(conn, jobs, JOB_RETRY, now)
            dead = [row for row in freed if row.state == State.DISCARDED.value]
            if dead:
                ids = [row.instance_id for row in dead]
                queue_jobs.raise_dead_letter_alarm(conn, ids, died_often(JOB_RETRY), now)
            sent = rescue(conn, deliveries, DELIVERY_RETRY, now)
            for row in sent:
                if row.state == State.DISCARDED.value:
                    queue_deliveries.raise_dead_letter_alarm(conn, row.destination, now)
            return len(freed) + len(sent)

    def retry(
        self,
        *,
        job_id: int | None = None,
        delivery_id: int | None = None,
        all_dead: bool = False,
        now: float,
    ) -> int:
        """Make dead letters available again; say how many.

        By id also a delivery that was replaced; `all_dead` takes the discarded ones.
        """
        with transaction(self.engine) as conn:
            count = 0
            if job_id is not None or all_dead:
                count += _retry(conn, jobs, job_id, now)
            if delivery_id is not None or all_dead:
                count += _retry(conn, deliveries, delivery_id, now)
            return count

    def reanalyse(
        self, *, study_uid: str | None = None, since: float = 0.0, now: float
    ) -> tuple[int, ...]:
        """Have stored images read again, after all new ones; give those that will be.

        All of a study, or all received `since` (POSIX s). What was read and is still
        kept counts; an image under way is left out.
        """
        with transaction(self.engine) as conn:
            return queue_jobs.reanalyse(conn, study_uid, since, now)

    def record_caller(self, ae: str, host: str, now: float) -> None:
        """Remember an unknown caller for a person to approve."""
        with transaction(self.engine) as conn:
            record_unknown_caller(conn, ae, host, now)

    def alarm(self, kind: str, words: str, now: float) -> None:
        """Open an alarm; the same kind and words again only count."""
        with transaction(self.engine) as conn:
            raise_alarm(conn, key(kind), words, now)

    def close_alarms(self, kind: str, now: float) -> int:
        """Close the open alarms of a kind; say how many."""
        with transaction(self.engine) as conn:
            return close_alarms(conn, kind, now)


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
