from dataclasses import replace

import pytest
from sqlalchemy import Engine

from dicom_node.domain.errors import LeaseLost, NotUnderstood
from dicom_node.domain.work import (
    DELIVERY_RETRY,
    Acknowledgement,
    DeliveryBatch,
    DeliveryFailure,
    Failure,
    after_failure,
)
from dicom_node.storage.database.schema import alarms, deliveries
from dicom_node.storage.queue.ledger import SqlLedger
from tests.support.rows import ONE_JOB, arrival, batch, claimed, column, finished, outcome, rows


def arrived(taken: DeliveryBatch) -> tuple[Acknowledgement, ...]:
    return tuple(Acknowledgement(delivery.id, "0x0000") for delivery in taken.deliveries)


def postponed(taken: DeliveryBatch, due_at: float | None) -> tuple[DeliveryFailure, ...]:
    failure = Failure(due_at, "TryAgain: connection refused")
    return tuple(DeliveryFailure(delivery.id, failure) for delivery in taken.deliveries)


def test_objects_of_a_study_go_together_and_messages_alone(ledger: SqlLedger) -> None:
    for number in (1, 2):
        ledger.record(arrival(number, study=5), ONE_JOB)
        ledger.finish_jobs(claimed(ledger), outcome(number), 2000.0)
    finished(ledger, 3)
    taken = [batch(ledger) for _ in range(5)]
    contents = [
        (one.destination, one.protocol, [(d.kind, d.sop_instance_uid) for d in one.deliveries])
        for one in taken
    ]
    assert contents == [
        (
            "pacs",
            "dicom",
            [("seg", "9.1.seg"), ("sr", "9.1.sr"), ("seg", "9.2.seg"), ("sr", "9.2.sr")],
        ),
        ("ris", "mllp", [("oru", "9.1.oru")]),
        ("ris", "mllp", [("oru", "9.2.oru")]),
        ("pacs", "dicom", [("seg", "9.3.seg"), ("sr", "9.3.sr")]),
        ("ris", "mllp", [("oru", "9.3.oru")]),
    ]
    assert ledger.claim_deliveries("d1", 3000.0, 60.0) is None


def test_a_delivery_says_all_that_sending_needs(ledger: SqlLedger) -> None:
    claim = finished(ledger, kinds=("sr",))
    (delivery,) = batch(ledger).deliveries
    assert delivery.attempt == 1
    assert delivery.sop_class_uid == "1.2.9"
    assert delivery.study_uid == claim.arrival.instance.study_uid
    assert (delivery.file.key, delivery.file.size) == ("out/9.1.sr", 3)


def test_one_destination_can_be_asked_for(ledger: SqlLedger) -> None:
    finished(ledger)
    taken = ledger.claim_deliveries("d1", 3000.0, 60.0, destination="ris")
    assert taken is not None
    assert [delivery.kind for delivery in taken.deliveries] == ["oru"]
    assert ledger.claim_deliveries("d1", 3000.0, 60.0, destination="ris") is None


def test_an_urgent_result_overtakes(ledger: SqlLedger) -> None:
    finished(ledger, 1, kinds=("oru",), now=2000.0)
    finished(ledger, 2, kinds=("oru",), now=2100.0, priority="urgent")
    finished(ledger, 3, kinds=("oru",), now=3300.0, priority="urgent")
    order = [batch(ledger).deliveries[0].sop_instance_uid for _ in range(3)]
    assert order == ["9.2.oru", "9.1.oru", "9.3.oru"]  # 20 ranks are 1,200 s of waiting


def test_the_acknowledgement_is_kept(ledger: SqlLedger, engine: Engine) -> None:
    finished(ledger, kinds=("sr",))
    taken = batch(ledger)
    ledger.finish_deliveries(taken, arrived(taken), (), 3001.0)
    (row,) = rows(engine, deliveries)
    assert (row["state"], row["acknowledged"], row["finished_at"]) == (
        "completed",
        "0x0000",
        3001.0,
    )
    assert (row["created_at"], row["claimed_at"], row["attempt"]) == (2000.0, 3000.0, 1)


def test_a_batch_may_fare_differently(ledger: SqlLedger, engine: Engine) -> None:
    finished(ledger, kinds=("seg", "sr", "sc", "kos"))
    taken = batch(ledger)
    seg, sr, sc, kos = (delivery.id for delivery in taken.deliveries)
    failed = (
        DeliveryFailure(sr, Failure(3500.0, "TryAgain: 0xA700")),
        DeliveryFailure(sc, Failure(None, "GiveUp: 0x0122")),
    )
    ledger.finish_deliveries(taken, (Acknowledgement(seg, "0x0000"),), failed, 3001.0)
    assert [
        (row["state"], row["attempt"], row["due_at"], row["last_error"])
        for row in rows(engine, deliveries)
    ] == [
        ("completed", 1, 0.0, None),
        ("available", 1, 3500.0, "TryAgain: 0xA700"),
        ("discarded", 1, 0.0, "GiveUp: 0x0122"),
        ("available", 0, 0.0, None),
    ]
    assert [delivery.id for delivery in batch(ledger, 3002.0).deliveries] == [kos]
    assert batch(ledger, 3500.0).deliveries[0].attempt == 2
    (alarm,) = rows(engine, alarms)
    assert (alarm["kind"], alarm["words"]) == ("delivery_discarded", "pacs: see its dead letters")


def test_answers_that_nobody_understands_raise_an_alarm_until_one_is(
    ledger: SqlLedger, engine: Engine
) -> None:
    finished(ledger, kinds=("oru",))
    opened: list[list[str]] = []
    for attempt in range(1, 5):
        taken = batch(ledger, 3000.0 + attempt)
        (delivery,) = taken.deliveries
        failure = after_failure(NotUnderstood("no MSA"), delivery.attempt, 3000.0, DELIVERY_RETRY)
        failed = (DeliveryFailure(delivery.id, replace(failure, due_at=0.0)),)
        ledger.finish_deliveries(taken, (), failed, 3000.0 + attempt)
        opened.append([row["words"] for row in rows(engine, alarms)])
    words = "ris: answered, but not understood: no MSA"
    assert opened == [[], [], [words], [words]]
    taken = batch(ledger, 3010.0)
    ledger.finish_deliveries(taken, arrived(taken), (), 3010.0)
    (alarm,) = rows(engine, alarms)
    assert (alarm["kind"], alarm["times"], alarm["closed_at"]) == (
        "answer_not_understood",
        2,
        3010.0,
    )


def test_a_message_may_wait_for_the_objects(ledger: SqlLedger) -> None:
    finished(ledger, 1, after_objects=True)
    taken = batch(ledger)
    assert taken.protocol == "dicom"
    assert ledger.claim_deliveries("d1", 3000.0, 60.0) is None  # still under way
    seg, sr = (delivery.id for delivery in taken.deliveries)
    postpone = (DeliveryFailure(sr, Failure(3100.0, "TryAgain: later")),)
    ledger.finish_deliveries(taken, (Acknowledgement(seg, "ok"),), postpone, 3001.0)
    assert ledger.claim_deliveries("d1", 3050.0, 60.0) is None  # one object still waits
    again = batch(ledger, 3100.0)
    ledger.finish_deliveries(again, (), postponed(again, None), 3101.0)
    assert batch(ledger, 3102.0).protocol == "mllp"  # the last object was given up


def test_a_message_without_objects_does_not_wait(ledger: SqlLedger) -> None:
    finished(ledger, 1, kinds=("oru",), after_objects=True)
    assert batch(ledger).protocol == "mllp"


def test_another_instances_objects_do_not_hold_a_message_up(ledger: SqlLedger) -> None:
    ledger.record(arrival(1, study=5), ONE_JOB)
    ledger.finish_jobs(claimed(ledger), outcome(1, kinds=("sr",)), 2000.0)
    ledger.record(arrival(2, study=5), ONE_JOB)
    ledger.finish_jobs(claimed(ledger), outcome(2, kinds=("oru",), after_objects=True), 2000.0)
    taken = ledger.claim_deliveries("d1", 3000.0, 60.0, destination="ris")
    assert taken is not None


def test_a_batch_settled_twice_counts_once(ledger: SqlLedger, engine: Engine) -> None:
    finished(ledger, kinds=("seg", "sr"))
    taken = batch(ledger)
    ledger.finish_deliveries(taken, arrived(taken), (), 3001.0)
    before = rows(engine, deliveries)
    with pytest.raises(LeaseLost):
        ledger.finish_deliveries(taken, (), postponed(taken, 3100.0), 3002.0)
    with pytest.raises(LeaseLost):
        ledger.finish_deliveries(taken, (), (), 3002.0)
    assert rows(engine, deliveries) == before


def test_settling_a_lost_batch_writes_nothing(ledger: SqlLedger, engine: Engine) -> None:
    finished(ledger, kinds=("seg", "sr"))
    taken = batch(ledger)
    assert ledger.rescue(taken.lease_until + 1) == 2
    second = batch(ledger, 4000.0, worker="d2")
    before = rows(engine, deliveries)
    with pytest.raises(LeaseLost):
        ledger.finish_deliveries(taken, arrived(taken), (), 4001.0)
    assert rows(engine, deliveries) == before
    ledger.finish_deliveries(second, arrived(second), (), 4002.0)
    assert column(engine, deliveries, "state") == ["completed", "completed"]


def test_rescued_deliveries_are_never_set_aside_early(ledger: SqlLedger, engine: Engine) -> None:
    finished(ledger, kinds=("sr",))
    for round_ in range(5):
        taken = batch(ledger, 3000.0 + 100 * round_)
        assert ledger.rescue(taken.lease_until + 1) == 1
    assert column(engine, deliveries, "state") == ["available"]
    assert column(engine, deliveries, "deaths") == [5]
