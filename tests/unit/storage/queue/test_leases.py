from dataclasses import replace

import pytest
from sqlalchemy import Engine

from dicom_node.domain.errors import LeaseLost
from dicom_node.domain.work import JOB_RETRY, Failure
from dicom_node.storage.database.schema import alarms, deliveries, instances, jobs, objects, results
from dicom_node.storage.queue.ledger import SqlLedger
from tests.support.rows import (
    ONE_JOB,
    TWO_JOBS,
    arrival,
    batch,
    claimed,
    column,
    finished,
    outcome,
    rows,
)


def test_a_lease_that_runs_is_left_alone(ledger: SqlLedger, engine: Engine) -> None:
    ledger.record(arrival(1), TWO_JOBS)
    claim = claimed(ledger)
    assert ledger.rescue(claim.lease_until) == 0
    assert column(engine, jobs, "state") == ["executing", "executing"]


def test_a_lease_that_ran_out_is_rescued(ledger: SqlLedger) -> None:
    ledger.record(arrival(1), TWO_JOBS)
    claim = claimed(ledger)
    assert ledger.rescue(claim.lease_until + 0.1) == 2
    second = claimed(ledger, 2061.0, worker="w2")
    assert [job.attempt for job in second.jobs] == [2, 2]


def test_a_heartbeat_keeps_the_lease(ledger: SqlLedger, engine: Engine) -> None:
    ledger.record(arrival(1), ONE_JOB)
    claim = claimed(ledger)
    assert ledger.extend_lease(claim, 2050.0, 60.0)
    assert ledger.rescue(2100.0) == 0
    ledger.finish_jobs(claim, outcome(1), 2105.0)
    assert not ledger.extend_lease(claim, 2106.0, 60.0)
    taken = batch(ledger)
    assert ledger.extend_lease(taken, 3050.0, 60.0)
    assert ledger.rescue(3100.0) == 0
    assert ledger.rescue(3111.0) == len(taken.deliveries)
    assert not ledger.extend_lease(taken, 3112.0, 60.0)


def test_a_late_worker_that_still_holds_its_work_may_finish(ledger: SqlLedger) -> None:
    ledger.record(arrival(1), ONE_JOB)
    claim = claimed(ledger)
    ledger.finish_jobs(claim, outcome(1), claim.lease_until + 1000)


@pytest.mark.parametrize("worker", ["w1", "w2"])
def test_a_lost_lease_finishes_nothing(ledger: SqlLedger, engine: Engine, worker: str) -> None:
    ledger.record(arrival(1), TWO_JOBS)
    lost = claimed(ledger)
    ledger.rescue(2061.0)
    second = claimed(ledger, 2062.0, worker)  # also when a worker of the same name came back
    before = rows(engine, jobs)
    with pytest.raises(LeaseLost):
        ledger.finish_jobs(lost, outcome(1), 2063.0)
    for due_at in (2100.0, None):
        with pytest.raises(LeaseLost):
            ledger.fail_jobs(lost, Failure(due_at, "no"), 2063.0)
    assert not ledger.extend_lease(lost, 2063.0, 60.0)
    assert rows(engine, jobs) == before
    for table in (results, objects, deliveries, alarms):
        assert rows(engine, table) == []
    assert column(engine, instances, "outcome") == [None]
    ledger.finish_jobs(second, outcome(1), 2064.0)


def test_a_rescued_lease_finishes_nothing(ledger: SqlLedger, engine: Engine) -> None:
    ledger.record(arrival(1), ONE_JOB)
    claim = claimed(ledger)
    ledger.rescue(2061.0)
    with pytest.raises(LeaseLost):
        ledger.finish_jobs(claim, outcome(1), 2062.0)
    assert column(engine, jobs, "state") == ["available"]


def test_another_workers_claim_cannot_be_forged(ledger: SqlLedger) -> None:
    ledger.record(arrival(1), ONE_JOB)
    claim = claimed(ledger)
    with pytest.raises(LeaseLost):
        ledger.finish_jobs(replace(claim, worker="w2"), outcome(1), 2001.0)
    with pytest.raises(LeaseLost):
        ledger.finish_jobs(replace(claim, token=claim.token[::-1]), outcome(1), 2001.0)


def test_a_claim_of_the_same_worker_at_the_same_time_is_another(ledger: SqlLedger) -> None:
    ledger.record(arrival(1), ONE_JOB)
    first = claimed(ledger, 2000.0)
    ledger.fail_jobs(first, Failure(2000.0, "TryAgain"), 2000.0)
    second = claimed(ledger, 2000.0)
    assert (first.worker, first.lease_until) == (second.worker, second.lease_until)
    with pytest.raises(LeaseLost):
        ledger.finish_jobs(first, outcome(1), 2000.0)
    ledger.finish_jobs(second, outcome(1), 2000.0)


def test_a_poison_image_is_set_aside_and_the_queue_goes_on(
    ledger: SqlLedger, engine: Engine
) -> None:
    ledger.record(arrival(1, at=1000.0), ONE_JOB)
    ledger.record(arrival(2, at=1001.0), ONE_JOB)
    now = 2000.0
    for _ in range(JOB_RETRY.attempts):
        claim = claimed(ledger, now)
        assert claim.arrival.instance.ref.sop_instance_uid == "1.2.3.1"
        now += 61.0
        assert ledger.rescue(now) == 1
    assert column(engine, jobs, "state") == ["discarded", "available"]
    (words, none) = column(engine, instances, "outcome")
    assert "the worker died or lost its lease 3 times" in str(words)
    assert none is None
    assert column(engine, alarms, "kind") == ["job_discarded"]
    assert claimed(ledger, now).arrival.instance.ref.sop_instance_uid == "1.2.3.2"


def test_postponing_is_not_dying(ledger: SqlLedger, engine: Engine) -> None:
    ledger.record(arrival(1), ONE_JOB)
    for number in range(5):
        ledger.fail_jobs(claimed(ledger, 2000.0 + number), Failure(2000.0, "TryAgain"), 2000.0)
    claim = claimed(ledger, 3000.0)
    ledger.rescue(claim.lease_until + 1)
    assert column(engine, jobs, "state") == ["available"]
    assert (column(engine, jobs, "attempt"), column(engine, jobs, "deaths")) == ([6], [1])


def test_finishing_twice_writes_once(ledger: SqlLedger, engine: Engine) -> None:
    claim = finished(ledger)
    before = [rows(engine, table) for table in (jobs, results, objects, deliveries)]
    with pytest.raises(LeaseLost):
        ledger.finish_jobs(claim, outcome(2), 2001.0)
    assert [rows(engine, table) for table in (jobs, results, objects, deliveries)] == before
