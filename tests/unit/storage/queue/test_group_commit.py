"""Arrivals that wait together are committed together, and each has its own outcome."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, event

from dicom_node.domain.errors import TryAgain
from dicom_node.domain.work import Admission, Arrival, Recorded
from dicom_node.storage.database.schema import instances, jobs
from dicom_node.storage.queue.group_commit import GroupCommit
from dicom_node.storage.queue.ledger import SqlLedger
from tests.support.listeners import until
from tests.support.rows import TWO_JOBS, arrival, column

THREADS = 12


def test_many_that_wait_share_a_commit(ledger: SqlLedger, engine: Engine) -> None:
    commits: list[object] = []
    event.listen(engine, "commit", commits.append)
    group = GroupCommit(ledger)
    with group._turn, ThreadPoolExecutor(THREADS) as pool:
        found = [pool.submit(group.record, arrival(one), TWO_JOBS) for one in range(THREADS)]
        until(lambda: len(group._waiting) == THREADS, "all threads")
        group._turn.release()
        outcomes = [one.result(60) for one in found]
        group._turn.acquire()
    assert outcomes == [Recorded.NEW] * THREADS
    assert len(commits) == 1
    assert len(column(engine, instances, "id")) == THREADS
    assert len(column(engine, jobs, "id")) == 2 * THREADS


def test_each_learns_what_became_of_its_own(ledger: SqlLedger, engine: Engine) -> None:
    group = GroupCommit(ledger)
    said = [arrival(1), arrival(1), arrival(1, content="ff"), arrival(2)]
    with group._turn, ThreadPoolExecutor(len(said)) as pool:
        found = []
        for count, one in enumerate(said, start=1):
            found.append(pool.submit(group.record, one, TWO_JOBS))
            until(lambda count=count: len(group._waiting) == count, "the thread")  # type: ignore[misc]
        group._turn.release()
        outcomes = [one.result(60) for one in found]
        group._turn.acquire()
    assert sorted(one.value for one in outcomes) == ["conflict", "new", "new", "same"]


class Refusing(SqlLedger):
    """A ledger that has a fault with one instance."""

    def record_all(self, arrived: "list[tuple[Arrival, Admission]]") -> list[Recorded]:  # type: ignore[override]
        if any(one.instance.ref.sop_instance_uid.endswith(".7") for one, _ in arrived):
            raise TryAgain("database is busy")
        return super().record_all(arrived)


def test_a_fault_of_one_is_not_the_fault_of_all(engine: Engine) -> None:
    group = GroupCommit(Refusing(engine))
    with group._turn, ThreadPoolExecutor(4) as pool:
        found = {one: pool.submit(group.record, arrival(one), TWO_JOBS) for one in (6, 7, 8)}
        until(lambda: len(group._waiting) == 3, "all threads")
        group._turn.release()
        assert found[6].result(60) is found[8].result(60) is Recorded.NEW
        with pytest.raises(TryAgain, match="busy"):
            found[7].result(60)
        group._turn.acquire()


def test_one_alone_waits_for_nobody(ledger: SqlLedger) -> None:
    group = GroupCommit(ledger)
    assert group.record(arrival(1), TWO_JOBS) is Recorded.NEW
    assert group.record(arrival(1), TWO_JOBS) is Recorded.SAME
