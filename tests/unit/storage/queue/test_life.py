"""Random lives of jobs and deliveries, checked against a small model."""

import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from dicom_node.domain.errors import LeaseLost
from dicom_node.domain.work import (
    JOB_RETRY,
    Acknowledgement,
    Claim,
    DeliveryBatch,
    DeliveryFailure,
    Failure,
    Recorded,
)
from dicom_node.storage.database.engine import migrate, open_database
from dicom_node.storage.database.schema import deliveries, instances, jobs, objects
from dicom_node.storage.queue.ledger import SqlLedger
from dicom_node.storage.queue.requeue import retry
from tests.support.rows import ONE_JOB, arrival, outcome, rows

LEASE_S = 60.0
some = st.integers(0, 20)


class Life(RuleBasedStateMachine):
    """The model: what is known, which leases are live, which jobs have finished."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.engine = open_database(f"sqlite:///{Path(self.folder.name)}/node.db")
        migrate(self.engine)
        self.ledger = SqlLedger(self.engine)
        self.now = 2000.0
        self.known: set[int] = set()
        self.claims: list[tuple[Claim, bool]] = []
        """Every claim ever given, and whether it is still ours."""
        self.batches: list[tuple[DeliveryBatch, bool]] = []
        self.finished: set[int] = set()

    def teardown(self) -> None:
        self.engine.dispose()
        self.folder.cleanup()

    @rule(number=st.integers(0, 3))
    def receive(self, number: int) -> None:
        found = self.ledger.record(arrival(number), ONE_JOB)
        assert found is (Recorded.SAME if number in self.known else Recorded.NEW)
        self.known.add(number)

    @rule()
    def claim(self) -> None:
        claim = self.ledger.claim_jobs("w", self.now, LEASE_S)
        if claim is not None:
            live = [held.instance_id for held, ours in self.claims if ours]
            assert claim.instance_id not in live
            assert claim.instance_id not in self.finished
            self.claims.append((claim, True))

    @precondition(lambda self: self.claims)
    @rule(which=some, how=st.sampled_from(["finish", "postpone", "give up"]))
    def end(self, which: int, how: str) -> None:
        position = which % len(self.claims)
        claim, ours = self.claims[position]
        number = int(claim.arrival.instance.ref.sop_instance_uid.rpartition(".")[2])
        try:
            if how == "finish":
                self.ledger.finish_jobs(claim, outcome(number, kinds=("sr", "oru")), self.now)
                self.finished.add(claim.instance_id)
            else:
                due_at = self.now if how == "postpone" else None
                self.ledger.fail_jobs(claim, Failure(due_at, how), self.now)
        except LeaseLost:
            assert not ours
        else:
            assert ours
        self.claims[position] = (claim, False)

    @rule()
    def send(self) -> None:
        batch = self.ledger.claim_deliveries("d", self.now, LEASE_S)
        if batch is not None:
            live = {d.id for held, ours in self.batches if ours for d in held.deliveries}
            assert live.isdisjoint(delivery.id for delivery in batch.deliveries)
            self.batches.append((batch, True))

    @precondition(lambda self: self.batches)
    @rule(which=some, how=st.sampled_from(["arrived", "postpone", "give up", "untried"]))
    def settle(self, which: int, how: str) -> None:
        position = which % len(self.batches)
        batch, ours = self.batches[position]
        ids = [delivery.id for delivery in batch.deliveries]
        failure = Failure(self.now if how == "postpone" else None, how)
        arrived = tuple(Acknowledgement(one, how) for one in ids) if how == "arrived" else ()
        failed = tuple(DeliveryFailure(one, failure) for one in ids)
        try:
            self.ledger.finish_deliveries(
                batch, arrived, failed if how in ("postpone", "give up") else (), self.now
            )
        except LeaseLost:
            assert not ours
        else:
            assert ours
        self.batches[position] = (batch, False)

    @rule()
    def workers_die(self) -> None:
        self.now += LEASE_S + 1
        live = sum(len(held.jobs) for held, ours in self.claims if ours)
        live += sum(len(held.deliveries) for held, ours in self.batches if ours)
        assert self.ledger.rescue(self.now) == live
        self.claims = [(held, False) for held, _ in self.claims]
        self.batches = [(held, False) for held, _ in self.batches]

    @precondition(lambda self: self.claims)
    @rule()
    def a_person_retries(self) -> None:
        retry(self.ledger.engine, all_dead=True, now=self.now)

    @invariant()
    def rows_agree(self) -> None:
        work = rows(self.engine, jobs)
        assert len(work) == len(self.known) == len(rows(self.engine, instances))
        done = {row["instance_id"] for row in work if row["state"] == "completed"}
        assert done == self.finished
        executing = {row["instance_id"] for row in work if row["state"] == "executing"}
        assert executing == {held.instance_id for held, ours in self.claims if ours}
        assert {row["deaths"] for row in work} <= set(range(JOB_RETRY.attempts + 1))
        made = Counter(row["instance_id"] for row in rows(self.engine, objects))
        sent = Counter(row["instance_id"] for row in rows(self.engine, deliveries))
        assert made == sent == Counter(dict.fromkeys(self.finished, 2))


TestLife = Life.TestCase
TestLife.settings = settings(
    max_examples=15,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
