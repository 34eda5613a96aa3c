"""Counters that only grow, whatever retention removes."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, update

from dicom_node.domain.operations.monitoring import reason_class
from dicom_node.domain.work import Acknowledgement, Admission
from dicom_node.storage.database.schema import instances, jobs, objects
from dicom_node.storage.database.transactions import transaction
from dicom_node.storage.queue.ledger import SqlLedger
from dicom_node.storage.queue.requeue import reanalyse
from dicom_node.storage.status.counters import count_rows, read_tallies
from dicom_node.storage.status.retention import SqlRetention
from tests.support.rows import DECLINED, ONE_JOB, arrival, batch, claimed, finished, outcome

NAMES = {"CR1": "room 1"}


def counted(engine: Engine) -> dict[tuple[str, ...], float]:
    count_rows(engine, NAMES)
    with transaction(engine, writing=False) as conn:
        return {(one.name, *one.labels): one.value for one in read_tallies(conn)}


def test_each_image_is_counted_once(engine: Engine, ledger: SqlLedger) -> None:
    for number in (1, 2):
        ledger.record(arrival(number), ONE_JOB)
    ledger.record(arrival(3), Admission(not_analysed="body part DOE^JOHN not in route"))
    assert counted(engine)["received", "room 1"] == 3
    ledger.finish_jobs(claimed(ledger, 1002.0), outcome(1), 1005.0)
    ledger.finish_jobs(claimed(ledger, 1004.0), outcome(2, findings=(DECLINED,)), 1005.0)
    for _ in range(2):  # looking again counts nothing again
        tallies = counted(engine)
        assert tallies["received", "room 1"] == 3
        assert tallies["analysed",] == 1
        assert tallies["not_analysed", "body part not in route"] == 1
        assert tallies["not_analysed", "blank"] == 1


def test_the_turnaround_of_each_step(engine: Engine, ledger: SqlLedger) -> None:
    ledger.record(arrival(1, at=1000.0), ONE_JOB)
    ledger.finish_jobs(claimed(ledger, 1002.0), outcome(1, kinds=("sr",)), 1005.5)
    taken = batch(ledger, 1006.0)
    ledger.finish_deliveries(taken, (Acknowledgement(taken.deliveries[0].id, "0000"),), (), 1007.0)
    tallies = counted(engine)
    assert tallies["turnaround", "wait", "pneumothorax", "2"] == 1
    assert tallies["turnaround", "read", "pneumothorax", "5"] == 1
    assert tallies["turnaround", "deliver", "pacs", "2"] == 1
    assert tallies["turnaround", "total", "pacs", "10"] == 1
    assert tallies["turnaround_us", "total", "pacs"] == pytest.approx(7e6)


def test_reading_again_later_is_no_long_turnaround(engine: Engine, ledger: SqlLedger) -> None:
    finished(ledger, 1, now=1001.0)
    reanalyse(ledger.engine, now=90_000.0)
    ledger.finish_jobs(claimed(ledger, 90_001.0), outcome(7, kinds=("sr",)), 90_002.0)
    while taken := ledger.claim_deliveries("d1", 90_003.0, 60.0):
        told = tuple(Acknowledgement(one.id, "ok") for one in taken.deliveries)
        ledger.finish_deliveries(taken, told, (), 90_004.0)
    tallies = counted(engine)
    assert any(name[:2] == ("turnaround_us", "deliver") for name in tallies)
    assert not any("total" in name for name in tallies)


def test_pruning_takes_nothing_away(
    engine: Engine, ledger: SqlLedger, retention: SqlRetention
) -> None:
    for number in range(1, 4):
        finished(ledger, number, now=1001.0, kinds=("sr",))
    while taken := ledger.claim_deliveries("d1", 1002.0, 60.0):
        told = tuple(Acknowledgement(one.id, "ok") for one in taken.deliveries)
        ledger.finish_deliveries(taken, told, (), 1003.0)
    before = counted(engine)
    assert before["received", "room 1"] == 3
    with transaction(engine) as conn:
        for table in (instances, objects):
            conn.execute(update(table).values(expired_at=1004.0))
    assert retention.prune(5000.0, 10) == 3
    assert counted(engine) == before


def test_counting_together_counts_once(engine: Engine, ledger: SqlLedger) -> None:
    for number in range(1, 41):
        ledger.record(arrival(number), ONE_JOB)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: count_rows(engine, NAMES), range(4)))
    assert counted(engine)["received", "room 1"] == 40


def test_strangers_make_no_label(engine: Engine, ledger: SqlLedger) -> None:
    ledger.record(arrival(1), ONE_JOB)
    count_rows(engine, {})
    assert counted(engine)["received", "other"] == 1


def test_a_host_whose_clock_is_late_counts_as_no_time(engine: Engine, ledger: SqlLedger) -> None:
    finished(ledger, 1, now=900.0)  # received at 1000 by another host's clock
    assert counted(engine)["turnaround", "wait", "pneumothorax", "0.1"] == 1


def test_rows_from_before_are_counted_at_first(engine: Engine, ledger: SqlLedger) -> None:
    finished(ledger, 1)
    with transaction(engine) as conn:
        conn.execute(update(jobs).values(counted=0))
    assert counted(engine)["received", "room 1"] == 1


@pytest.mark.parametrize(
    ("words", "label"),
    [
        ("failed: GiveUp: DOE^JOHN", "failed"),
        ("modality DOE^JOHN not in route", "modality not in route"),
        ("view LL, not frontal", "not a frontal view"),
        ("image of 8 x 8 pixels is too small", "image too small"),
        ("not a frontal chest radiograph (p=0.11)", "not a frontal chest radiograph"),
        ("image is rotated by 90 degrees", "rotated"),
        ("damaged JPEG: DOE^JOHN", "damaged pixels"),
        ("truncated pixel data: 9 bytes are missing", "damaged pixels"),
        ("transfer syntax MPEG2 cannot be decoded here", "cannot be decoded"),
        ("DOE^JOHN", "other"),
        ("", "other"),
    ],
)
def test_reasons_become_few_classes(words: str, label: str) -> None:
    assert reason_class(words) == label
