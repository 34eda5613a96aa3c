"""Clocks that differ, clocks that are set back, and the bell."""

import threading
import time

import pytest
from sqlalchemy import Engine

from dicom_node.storage.database import clock as clocks
from dicom_node.storage.database.clock import DatabaseClock
from dicom_node.storage.database.engine import open_database
from dicom_node.storage.database.notify import WorkNotifier
from dicom_node.storage.database.schema import jobs
from dicom_node.storage.database.transactions import transaction
from dicom_node.storage.queue.ledger import SqlLedger
from tests.support.rows import ONE_JOB, arrival, column

HOUR = 3600.0


def test_hosts_whose_clocks_differ_agree(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = DatabaseClock(engine)()
    monkeypatch.setattr(clocks.time, "time", lambda: ours + 7 * 60)
    theirs = DatabaseClock(engine)()
    behind = 0.0 if engine.dialect.name == "postgresql" else 7 * 60  # SQLite has one host
    assert theirs - ours == pytest.approx(behind, abs=2)


def test_the_clock_goes_on_while_the_server_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = DatabaseClock(open_database("postgresql+psycopg://nobody@127.0.0.1:1/none"))
    first = clock()
    assert first == pytest.approx(time.time(), abs=2)
    monkeypatch.setattr(clocks.time, "time", lambda: first - HOUR)  # set back meanwhile
    assert 0 <= clock() - first < 2


def test_a_lease_from_before_the_clock_was_set_back_ends(ledger: SqlLedger) -> None:
    ledger.record(arrival(1), ONE_JOB)
    assert ledger.claim_jobs("dead", 10 * HOUR, 15.0)
    now = 9 * HOUR  # an hour back: the lease would end in an hour
    assert ledger.rescue(now) == 1
    assert ledger.claim_jobs("alive", now, 15.0)
    assert ledger.rescue(now + 1) == 0  # a lease of now is left alone


def test_what_was_put_off_before_the_clock_was_set_back_is_due(
    ledger: SqlLedger, engine: Engine
) -> None:
    ledger.record(arrival(1), ONE_JOB)
    with transaction(engine) as conn:
        conn.execute(jobs.update().values(due_at=10 * HOUR))
    ledger.rescue(9 * HOUR)
    assert column(engine, jobs, "due_at") == [9 * HOUR]
    assert ledger.claim_jobs("w", 9 * HOUR, 15.0)


def test_the_bell_rings_when_a_job_comes(engine: Engine, ledger: SqlLedger) -> None:
    bell, stop = WorkNotifier(engine, "jobs"), threading.Event()
    bell.wait(stop, 0.0)  # listens from now on
    started = time.monotonic()
    threading.Timer(0.1, ledger.record, (arrival(1), ONE_JOB)).start()
    bell.wait(stop, 0.05)
    waited = time.monotonic() - started
    bell.close()
    if engine.dialect.name == "postgresql":
        assert 0.05 < waited < 0.8  # form; silence would have taken a second
    else:
        assert waited < 0.5
    time.sleep(0.2)  # the timer has written before the database goes


@pytest.mark.postgres
def test_a_bell_without_a_server_polls() -> None:
    bell = WorkNotifier(open_database("postgresql+psycopg://nobody@127.0.0.1:1/none"), "jobs")
    started = time.monotonic()
    bell.wait(threading.Event(), 0.05)
    assert 0.4 < time.monotonic() - started < 6
