"""Messages that stand by until another is acknowledged, on every database."""

from dataclasses import replace

from sqlalchemy import Engine

from dicom_node.domain.work import (
    Acknowledgement,
    DeliveryFailure,
    Escalation,
    Failure,
    NewDelivery,
    Outcome,
    ReportObject,
    StoredFile,
)
from dicom_node.storage.database.schema import alarms, deliveries, escalations
from dicom_node.storage.queue.escalation import escalate
from dicom_node.storage.queue.ledger import SqlLedger
from dicom_node.storage.status.retention import SqlRetention
from tests.support.rows import ONE_JOB, READ, arrival, claimed, column, rows

NOW = 2000.0


def urgent(number: int = 1) -> Outcome:
    """An ORU for the RIS; ward and pager stand by."""
    names = ("ris", "ward", "pager")
    made = [ReportObject("oru", "", f"9.{number}.{name}", "", b"") for name in names]
    files = [StoredFile(f"out/{one.sop_instance_uid}", "cd" * 32, 3) for one in made]
    first, ward, pager = (one.sop_instance_uid for one in made)
    return Outcome(
        (READ,),
        tuple(zip(made, files, strict=True)),
        (NewDelivery(first, "ris", "mllp", "urgent"),),
        escalations=(
            Escalation(ward, "ward", first, 1, NOW + 300),
            Escalation(pager, "pager", first, 2, NOW + 600),
        ),
    )


def armed(ledger: SqlLedger, outcome: Outcome | None = None) -> None:
    ledger.record(arrival(1), ONE_JOB)
    ledger.finish_jobs(claimed(ledger), outcome or urgent(), NOW)


def settle(ledger: SqlLedger, destination: str, words: str, now: float = NOW) -> None:
    taken = ledger.claim_deliveries("d", now, 60.0, destination)
    assert taken is not None, f"nothing to send to {destination}"
    (delivery,) = taken.deliveries
    if words == "AA":
        ledger.finish_deliveries(taken, (Acknowledgement(delivery.id, words),), (), now)
    else:
        due_at = now + 5 if words == "AR" else None
        failed = DeliveryFailure(delivery.id, Failure(due_at, words))
        ledger.finish_deliveries(taken, (), (failed,), now)


def told(engine: Engine) -> list[object]:
    return column(engine, deliveries, "destination")


def fates(engine: Engine) -> list[object]:
    return column(engine, escalations, "fate")


def test_an_acknowledgement_calls_the_standbys_off(ledger: SqlLedger, engine: Engine) -> None:
    armed(ledger)
    assert told(engine) == ["ris"]
    settle(ledger, "ris", "AA")
    assert fates(engine) == ["called off", "called off"]
    assert escalate(engine, NOW + 9000) == 0
    assert told(engine) == ["ris"]


def test_silence_brings_one_after_the_other(ledger: SqlLedger, engine: Engine) -> None:
    armed(ledger)
    settle(ledger, "ris", "AR")
    assert escalate(engine, NOW + 299) == 0
    assert escalate(engine, NOW + 300) == 1
    assert escalate(engine, NOW + 599) == 0  # once
    assert told(engine) == ["ris", "ward"]
    settle(ledger, "ward", "AR", NOW + 400)
    assert escalate(engine, NOW + 601) == 1
    assert told(engine) == ["ris", "ward", "pager"]
    words = [row["words"] for row in rows(engine, alarms) if row["closed_at"] is None]
    assert len(words) == 2
    assert any("pager" in str(one) for one in words)
    settle(ledger, "ris", "AA", NOW + 700)
    assert [row for row in rows(engine, alarms) if row["closed_at"] is None] == []


def test_an_answer_of_a_standby_calls_off_the_next(ledger: SqlLedger, engine: Engine) -> None:
    armed(ledger)
    escalate(engine, NOW + 300)
    settle(ledger, "ward", "AA", NOW + 301)
    assert fates(engine) == ["sent", "called off"]
    assert escalate(engine, NOW + 9000) == 0
    settle(ledger, "ris", "AA", NOW + 9001)  # who was silent still gets its message


def test_a_refusal_goes_on_at_once(ledger: SqlLedger, engine: Engine) -> None:
    armed(ledger)
    settle(ledger, "ris", "AE")
    assert told(engine) == ["ris", "ward"]
    settle(ledger, "ward", "AE")
    assert told(engine) == ["ris", "ward", "pager"]
    settle(ledger, "pager", "AA")
    assert escalate(engine, NOW + 9000) == 0


def test_who_hears_directly_does_not_stand_by(ledger: SqlLedger, engine: Engine) -> None:
    outcome = urgent()
    direct = NewDelivery("9.1.ward", "ward", "mllp", "urgent")
    armed(ledger, replace(outcome, deliveries=(*outcome.deliveries, direct)))
    assert column(engine, escalations, "destination") == ["pager"]


def test_a_repeat_arms_nothing_again(ledger: SqlLedger, engine: Engine) -> None:
    armed(ledger)
    settle(ledger, "ris", "AA")
    ledger.record(arrival(2), ONE_JOB)
    ledger.finish_jobs(claimed(ledger), urgent(), NOW + 10)
    assert escalate(engine, NOW + 9000) == 0
    assert told(engine) == ["ris"]


def test_standbys_go_with_their_image(
    ledger: SqlLedger, retention: SqlRetention, engine: Engine
) -> None:
    armed(ledger)
    settle(ledger, "ris", "AA")
    ids = [int(str(one)) for one in column(engine, escalations, "object_id")]
    retention.forget_files("objects", [*ids, *range(1, 9)], NOW + 1)
    retention.forget_files("instances", [1], NOW + 1)
    assert retention.prune(NOW + 9000, 10) == 1
    assert rows(engine, escalations) == []
