"""The ledger on SQLite or Postgres."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Engine

from dicom_node.domain.work import (
    DELIVERY_RETRY,
    JOB_RETRY,
    Acknowledgement,
    Admission,
    Arrival,
    Claim,
    DeliveryBatch,
    DeliveryFailure,
    Failure,
    Outcome,
    Recorded,
    State,
)
from dicom_node.storage.database.notify import notify
from dicom_node.storage.database.schema import deliveries, jobs
from dicom_node.storage.database.transactions import transaction
from dicom_node.storage.queue import commitments, escalation, results
from dicom_node.storage.queue import deliveries as queue_deliveries
from dicom_node.storage.queue import jobs as queue_jobs
from dicom_node.storage.queue.transitions import died_often, extend_step, recall, rescue

_EXTEND_JOBS = extend_step(jobs)
_EXTEND_DELIVERIES = extend_step(deliveries)


@dataclass(frozen=True, slots=True)
class SqlLedger:
    """`domain.pipeline.Ledger` over one engine; safe to share between threads."""

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
