from dataclasses import replace

import pytest
from sqlalchemy import Engine

from dicom_node.domain.work import Acknowledgement, Admission, DeliveryFailure, Failure, Recorded
from dicom_node.storage.database.schema import (
    callers,
    deliveries,
    instances,
    jobs,
    metadata,
    objects,
)
from dicom_node.storage.queue.alarms import open_alarm
from dicom_node.storage.queue.callers import record_caller
from dicom_node.storage.queue.ledger import SqlLedger
from dicom_node.storage.queue.requeue import reanalyse
from dicom_node.storage.status.retention import SqlRetention
from tests.support.rows import ONE_JOB, arrival, batch, claimed, column, finished, outcome, rows

DEAD = Failure(None, "GiveUp: no")


def delivered(ledger: SqlLedger, number: int) -> None:
    finished(ledger, number)
    for _ in range(2):
        taken = batch(ledger)
        arrived = tuple(Acknowledgement(delivery.id, "ok") for delivery in taken.deliveries)
        ledger.finish_deliveries(taken, arrived, (), 3001.0)


def keys(found: tuple[object, ...]) -> list[object]:
    return [getattr(kept, "key", None) for kept in found]


def test_only_old_instances_without_work_expire(ledger: SqlLedger, retention: SqlRetention) -> None:
    ledger.record(arrival(1, at=10.0), Admission(not_analysed="own result"))
    ledger.record(arrival(2, at=11.0), Admission(not_analysed="own result"))
    ledger.record(arrival(3, at=2000.0), Admission(not_analysed="own result"))
    ledger.record(arrival(4, at=12.0), ONE_JOB)
    found = retention.old_files("instances", 1000.0, 1000.0, 10)
    assert keys(found) == [arrival(1).file.key, arrival(2).file.key]
    assert keys(retention.old_files("instances", 1000.0, 1000.0, 1)) == [arrival(1).file.key]
    retention.forget_files("instances", [kept.row_id for kept in found], 5000.0)
    assert retention.old_files("instances", 1000.0, 1000.0, 10) == ()


def test_work_of_any_kind_keeps_the_files(ledger: SqlLedger, retention: SqlRetention) -> None:
    def files() -> int:
        instances_ = retention.old_files("instances", 9000.0, 9000.0, 10)
        return len(instances_) + len(retention.old_files("objects", 9000.0, 9000.0, 10))

    ledger.record(arrival(1), ONE_JOB)
    assert files() == 0  # a job waits
    claim = claimed(ledger)
    assert files() == 0  # a job is done
    ledger.finish_jobs(claim, outcome(1, kinds=("sr",)), 2000.0)
    assert files() == 0  # a delivery waits
    taken = batch(ledger)
    assert files() == 0  # a delivery is under way
    ledger.finish_deliveries(taken, (Acknowledgement(taken.deliveries[0].id, "ok"),), (), 3001.0)
    assert files() == 2


def test_dead_letters_keep_their_files_longer(ledger: SqlLedger, retention: SqlRetention) -> None:
    ledger.record(arrival(1), ONE_JOB)
    ledger.fail_jobs(claimed(ledger), DEAD, 2000.0)
    assert retention.old_files("instances", 9000.0, 500.0, 10) == ()
    assert len(retention.old_files("instances", 9000.0, 1500.0, 10)) == 1
    finished(ledger, 2, kinds=("sr",))
    taken = batch(ledger)
    ledger.finish_deliveries(taken, (), (DeliveryFailure(taken.deliveries[0].id, DEAD),), 3001.0)
    assert retention.old_files("objects", 9000.0, 1500.0, 10) == ()
    assert len(retention.old_files("objects", 9000.0, 2500.0, 10)) == 1


def expire_all(retention: SqlRetention) -> None:
    retention.forget_files(
        "instances",
        [kept.row_id for kept in retention.old_files("instances", 9e9, 9e9, 100)],
        5000.0,
    )
    retention.forget_files(
        "objects", [kept.row_id for kept in retention.old_files("objects", 9e9, 9e9, 100)], 5000.0
    )


def test_pruning_takes_an_instance_with_all_that_hangs_on_it(
    ledger: SqlLedger, retention: SqlRetention, engine: Engine
) -> None:
    delivered(ledger, 1)
    assert retention.prune(9e9, 10) == 0  # its files are still there
    expire_all(retention)
    assert retention.prune(1000.0, 10) == 0  # not old enough
    assert retention.prune(1000.5, 10) == 1
    for table in metadata.sorted_tables:
        if table.name != "schema_version":
            assert rows(engine, table) == [], table.name
    assert ledger.record(arrival(1), ONE_JOB) is Recorded.NEW
    assert column(engine, instances, "id") == [2]  # ids never come again


def test_pruning_leaves_living_work(
    ledger: SqlLedger, retention: SqlRetention, engine: Engine
) -> None:
    finished(ledger, 1)
    ledger.record(arrival(2), ONE_JOB)
    retention.forget_files("instances", [1, 2], 5000.0)
    retention.forget_files("objects", [1, 2, 3], 5000.0)
    assert retention.prune(9e9, 10) == 0
    assert len(rows(engine, jobs)) == 2
    assert len(rows(engine, deliveries)) == len(rows(engine, objects)) == 3


def test_pruning_goes_in_small_steps(ledger: SqlLedger, retention: SqlRetention) -> None:
    for number in range(5):
        ledger.record(arrival(number), Admission(not_analysed="own result"))
    expire_all(retention)
    assert [retention.prune(9e9, 2) for _ in range(4)] == [2, 2, 1, 0]


def test_old_alarms_and_callers_go(
    ledger: SqlLedger, retention: SqlRetention, engine: Engine
) -> None:
    open_alarm(ledger.engine, "disk", "full", 10.0)
    open_alarm(ledger.engine, "disk", "fuller", 30.0)
    record_caller(ledger.engine, "A", "h", 10.0)
    record_caller(ledger.engine, "B", "h", 30.0)
    assert retention.prune_alarms(20.0) == 2
    assert column(engine, callers, "ae") == ["B"]


def test_an_expired_result_that_is_made_again_has_its_file_again(
    ledger: SqlLedger, retention: SqlRetention
) -> None:
    delivered(ledger, 1)
    retention.forget_files(
        "objects", [kept.row_id for kept in retention.old_files("objects", 9e9, 9e9, 9)], 5000.0
    )
    assert reanalyse(ledger.engine, now=6000.0) == (1,)
    made = outcome(1, kinds=("sr",))
    ((report, file),) = made.objects
    file = replace(file, key="out/anew")  # it names the time of its making
    made = replace(
        made,
        objects=((report, file),),
        deliveries=(replace(made.deliveries[0], destination="another"),),
    )
    ledger.finish_jobs(claimed(ledger, 6001.0), made, 6001.0)
    assert batch(ledger, 6002.0).deliveries[0].file == file
    assert retention.known_keys([file.key]) == {file.key}


@pytest.mark.parametrize("expired", [False, True])
def test_keys_of_living_rows_are_known(
    expired: bool, ledger: SqlLedger, retention: SqlRetention
) -> None:
    delivered(ledger, 1)
    mine = {arrival(1).file.key, "out/9.1.sr"}
    if expired:
        expire_all(retention)
    assert retention.known_keys([*mine, "in/ffff"]) == (set() if expired else mine)
    assert retention.known_keys([]) == set()
