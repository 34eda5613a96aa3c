"""What a person can do: retry, learn callers, alarms."""

import sqlite3

import pytest
from sqlalchemy import Engine, select

from dicom_node.domain.work import DeliveryFailure, Failure
from dicom_node.storage.database.schema import alarms, callers, deliveries, instances, jobs
from dicom_node.storage.database.transactions import transaction
from dicom_node.storage.queue.alarms import close_alarm, open_alarm
from dicom_node.storage.queue.callers import record_caller
from dicom_node.storage.queue.ledger import SqlLedger
from dicom_node.storage.queue.requeue import retry
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

DEAD = Failure(None, "GiveUp: refused")


def dead_job(ledger: SqlLedger, number: int) -> None:
    ledger.record(arrival(number), ONE_JOB)
    ledger.fail_jobs(claimed(ledger), DEAD, 2000.0)


def dead_delivery(ledger: SqlLedger, number: int) -> None:
    finished(ledger, number, kinds=("sr",))
    taken = batch(ledger)
    ledger.finish_deliveries(taken, (), (DeliveryFailure(taken.deliveries[0].id, DEAD),), 3001.0)


def test_a_dead_job_is_tried_again_from_the_start(ledger: SqlLedger, engine: Engine) -> None:
    dead_job(ledger, 1)
    assert retry(ledger.engine, job_id=1, now=5000.0) == 1
    assert column(engine, instances, "outcome") == [None]
    assert column(engine, jobs, "finished_at") == [None]
    assert claimed(ledger, 5001.0).jobs[0].attempt == 1
    assert column(engine, alarms, "closed_at") == [5000.0]


def test_a_dead_delivery_is_tried_again(ledger: SqlLedger, engine: Engine) -> None:
    dead_delivery(ledger, 1)
    dead_delivery(ledger, 2)
    assert column(engine, alarms, "times") == [2]
    assert retry(ledger.engine, delivery_id=1, now=5000.0) == 1
    assert column(engine, alarms, "closed_at") == [None]  # the other is still dead
    assert [delivery.id for delivery in batch(ledger, 5001.0).deliveries] == [1]
    assert retry(ledger.engine, delivery_id=2, now=5002.0) == 1
    assert column(engine, alarms, "closed_at") == [5002.0]


def test_all_dead_letters_at_once(ledger: SqlLedger, engine: Engine) -> None:
    dead_job(ledger, 1)
    dead_delivery(ledger, 2)
    ledger.record(arrival(3), ONE_JOB)
    assert retry(ledger.engine, all_dead=True, now=5000.0) == 2
    assert column(engine, jobs, "state") == ["available", "completed", "available"]
    assert column(engine, deliveries, "state") == ["available"]
    assert retry(ledger.engine, all_dead=True, now=5001.0) == 0


def test_any_number_of_dead_letters_at_once(ledger: SqlLedger, engine: Engine) -> None:
    dead_job(ledger, 1)
    many = 1200
    with transaction(engine) as conn:
        (image,), (job,) = conn.execute(select(instances)).all(), conn.execute(select(jobs)).all()
        for table, row in ((instances, image), (jobs, job)):
            first = dict(row._mapping)
            unlike = "sop_instance_uid" if table is instances else "instance_id"
            rest = [first | {"id": one, unlike: one} for one in range(2, many + 1)]
            conn.execute(table.insert(), rest)
    if engine.dialect.name == "sqlite":  # others' builds take fewer parameters than ours
        connection = engine.raw_connection()
        connection.driver_connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 999)
        connection.close()
    assert retry(ledger.engine, all_dead=True, now=5000.0) == many
    assert set(column(engine, instances, "outcome")) == {None}


def test_an_alarm_comes_back_when_the_fault_does(ledger: SqlLedger, engine: Engine) -> None:
    dead_job(ledger, 1)
    retry(ledger.engine, all_dead=True, now=5000.0)
    ledger.fail_jobs(claimed(ledger, 5001.0), DEAD, 5002.0)
    assert [(row["times"], row["closed_at"], row["last_at"]) for row in rows(engine, alarms)] == [
        (2, None, 5002.0)
    ]


def test_what_lives_or_is_unknown_cannot_be_retried(ledger: SqlLedger, engine: Engine) -> None:
    finished(ledger, 1, kinds=("sr",))
    before = rows(engine, jobs), rows(engine, deliveries)
    assert retry(ledger.engine, job_id=1, delivery_id=1, now=5000.0) == 0
    assert retry(ledger.engine, job_id=99, now=5000.0) == 0
    assert retry(ledger.engine, now=5000.0) == 0
    assert (rows(engine, jobs), rows(engine, deliveries)) == before


def test_an_analysed_image_stays_analysed(ledger: SqlLedger, engine: Engine) -> None:
    ledger.record(arrival(1), TWO_JOBS)
    ledger.fail_jobs(claimed(ledger), DEAD, 1999.0)
    retry(ledger.engine, job_id=1, now=1999.0)
    ledger.finish_jobs(claimed(ledger), outcome(1), 2000.0)
    assert column(engine, instances, "outcome") == ["analysed"]
    retry(ledger.engine, job_id=2, now=5000.0)
    ledger.fail_jobs(claimed(ledger, 5001.0), DEAD, 5002.0)
    assert column(engine, instances, "outcome") == ["analysed"]


def test_unknown_callers_are_remembered(ledger: SqlLedger, engine: Engine) -> None:
    for now in (1.0, 2.0):
        record_caller(ledger.engine, "STRANGER", "10.0.0.77", now)
    record_caller(ledger.engine, "STRANGER", "10.0.0.78", 3.0)
    assert [tuple(row.values()) for row in rows(engine, callers)] == [
        ("STRANGER", "10.0.0.77", 2, 1.0, 2.0),
        ("STRANGER", "10.0.0.78", 1, 3.0, 3.0),
    ]


@pytest.mark.parametrize("words", ["disk is nearly full", "ä" * 5000, "a\0b\udc80"])
def test_an_alarm_is_counted_and_closed(words: str, ledger: SqlLedger, engine: Engine) -> None:
    open_alarm(ledger.engine, "disk", words, 1.0)
    open_alarm(ledger.engine, "disk", words, 2.0)
    open_alarm(ledger.engine, "certificate", words, 2.0)
    assert column(engine, alarms, "times") == [2, 1]
    assert close_alarm(ledger.engine, "disk", 3.0) == 1
    assert close_alarm(ledger.engine, "disk", 4.0) == 0
    assert column(engine, alarms, "closed_at") == [3.0, None]
