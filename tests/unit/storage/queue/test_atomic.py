"""A fault half-way leaves nothing behind."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine

from dicom_node.domain.errors import GiveUp
from dicom_node.domain.work import (
    Acknowledgement,
    Admission,
    NewDelivery,
    NewJob,
    Outcome,
)
from dicom_node.storage.database.schema import (
    alarms,
    deliveries,
    instances,
    jobs,
    metadata,
    objects,
)
from dicom_node.storage.queue.ledger import SqlLedger
from tests.support.rows import ONE_JOB, arrival, batch, claimed, column, finished, outcome, rows


def everything(engine: Engine) -> dict[str, list[dict[str, object]]]:
    return {table.name: rows(engine, table) for table in metadata.sorted_tables}


def second_object_without_kind(good: Outcome) -> Outcome:
    made, file = good.objects[1]
    nothing: Any = ""
    bad = replace(made, kind=nothing)
    return replace(good, objects=(good.objects[0], (bad, file), *good.objects[2:]))


def last_delivery_by_pigeon(good: Outcome) -> Outcome:
    pigeon: Any = "pigeon"
    return replace(
        good, deliveries=(*good.deliveries[:-1], replace(good.deliveries[-1], protocol=pigeon))
    )


def delivery_of_an_object_that_is_not_there(good: Outcome) -> Outcome:
    ghost = NewDelivery("9.9.9.ghost", "pacs", "dicom", "routine")
    return replace(good, deliveries=(*good.deliveries, ghost))


@pytest.mark.parametrize(
    "spoil",
    [
        second_object_without_kind,
        last_delivery_by_pigeon,
        delivery_of_an_object_that_is_not_there,
    ],
)
def test_a_finish_that_fails_half_way_writes_nothing(
    spoil: Callable[[Outcome], Outcome], ledger: SqlLedger, engine: Engine
) -> None:
    ledger.record(arrival(1), ONE_JOB)
    claim = claimed(ledger)
    before = everything(engine)
    with pytest.raises(GiveUp):
        ledger.finish_jobs(claim, spoil(outcome(1)), 2001.0)
    assert everything(engine) == before
    ledger.finish_jobs(claim, outcome(1), 2002.0)  # the lease is still ours
    assert len(rows(engine, objects)) == 3


def test_a_record_that_fails_half_way_writes_nothing(ledger: SqlLedger, engine: Engine) -> None:
    twice = Admission(jobs=(NewJob("anatomy", (), "low"), NewJob("anatomy", (), "low")))
    with pytest.raises(GiveUp, match=r"(?i)unique"):
        ledger.record(arrival(1), twice)
    assert rows(engine, instances) == rows(engine, jobs) == []


def test_a_settlement_with_a_foreign_delivery_writes_nothing(
    ledger: SqlLedger, engine: Engine
) -> None:
    finished(ledger, 1, kinds=("sr",))
    finished(ledger, 2, kinds=("sr",))
    first, second = batch(ledger), batch(ledger, 3100.0)
    before = everything(engine)
    both = tuple(
        Acknowledgement(delivery.id, "ok") for delivery in first.deliveries + second.deliveries
    )
    with pytest.raises(Exception, match="no longer holds"):
        ledger.finish_deliveries(first, both, (), 3200.0)
    assert everything(engine) == before
    assert column(engine, deliveries, "state") == ["executing", "executing"]


def test_words_of_a_fault_hold_no_row(ledger: SqlLedger, engine: Engine) -> None:
    ledger.record(arrival(1, patient="MARKED^PATIENT"), ONE_JOB)
    bad: Any = "pigeon"
    spoilt = NewDelivery("9.1.sr", "MARKED^PATIENT", bad, "low")
    with pytest.raises(GiveUp) as caught:
        ledger.finish_jobs(claimed(ledger), replace(outcome(1), deliveries=(spoilt,)), 2001.0)
    assert "MARKED" not in str(caught.value)
    assert caught.value.__suppress_context__
    assert rows(engine, alarms) == []
