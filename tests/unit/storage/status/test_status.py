from sqlalchemy import Engine

from dicom_node.domain.operations.status import Alarm, Caller, Depth, Moment, Sender, StatusSnapshot
from dicom_node.domain.work import Acknowledgement, Admission, DeliveryFailure, Failure
from dicom_node.storage.queue.alarms import close_alarm, open_alarm
from dicom_node.storage.queue.callers import record_caller
from dicom_node.storage.queue.ledger import SqlLedger
from dicom_node.storage.queue.requeue import retry
from dicom_node.storage.status.status import take_snapshot, timeline
from tests.support.rows import ONE_JOB, arrival, batch, claimed, finished, jobs_of, outcome


def test_an_empty_database_has_nothing_to_show(engine: Engine) -> None:
    assert take_snapshot(engine, 5000.0) == StatusSnapshot(
        at=5000.0,
        jobs=Depth("jobs"),
        deliveries=(),
        analysed=0,
        pending=0,
        not_analysed=(),
        dead_letters=(),
        senders=(),
        callers=(),
        alarms=(),
    )


def test_queues_are_counted_by_state(ledger: SqlLedger, engine: Engine) -> None:
    finished(ledger, 1)
    for number, at in ((2, 3000.0), (3, 3100.0), (4, 3200.0)):
        ledger.record(arrival(number, at=at), ONE_JOB)
    claimed(ledger, 4000.0)
    ledger.fail_jobs(claimed(ledger, 4000.0), Failure(None, "GiveUp: no"), 4000.0)
    taken = batch(ledger, 4100.0)
    ack = Acknowledgement(taken.deliveries[0].id, "0x0000")
    ledger.finish_deliveries(taken, (ack,), (), 4100.0)
    snapshot = take_snapshot(engine, 5000.0)
    assert snapshot.jobs == Depth(
        "jobs", available=1, executing=1, completed=1, discarded=1, oldest_s=2000.0
    )
    assert snapshot.deliveries == (
        Depth("pacs", available=1, completed=1, oldest_s=3000.0),
        Depth("ris", available=1, oldest_s=3000.0),
    )
    assert (snapshot.analysed, snapshot.pending) == (1, 2)
    assert snapshot.not_analysed == (("failed: GiveUp: no", 1),)


def test_reasons_and_senders_are_counted(ledger: SqlLedger, engine: Engine) -> None:
    for number, reason in enumerate(("multi-frame image", "own result", "multi-frame image")):
        ledger.record(arrival(number, at=1000.0 + number), Admission(not_analysed=reason))
    record_caller(ledger.engine, "STRANGER", "10.0.0.77", 4.0)
    open_alarm(ledger.engine, "disk", "12 GB left", 5.0)
    snapshot = take_snapshot(engine, 5000.0)
    assert snapshot.not_analysed == (("multi-frame image", 2), ("own result", 1))
    assert snapshot.senders == (Sender("CR1", 3, 1002.0),)
    assert snapshot.callers == (Caller("STRANGER", "10.0.0.77", 1, 4.0),)
    assert snapshot.alarms == (Alarm("disk", "12 GB left", 1, 5.0, 5.0),)
    close_alarm(ledger.engine, "disk", 6.0)
    assert take_snapshot(engine, 5000.0).alarms == ()


def test_dead_letters_say_what_and_why(ledger: SqlLedger, engine: Engine) -> None:
    ledger.record(arrival(1), ONE_JOB)
    ledger.fail_jobs(claimed(ledger), Failure(None, "GiveUp: no model"), 2500.0)
    finished(ledger, 2, kinds=("sr",))
    taken = batch(ledger)
    failed = DeliveryFailure(taken.deliveries[0].id, Failure(None, "GiveUp: 0x0122"))
    ledger.finish_deliveries(taken, (), (failed,), 3500.0)
    delivery, job = take_snapshot(engine, 5000.0).dead_letters
    assert (job.kind, job.id, job.where, job.subject) == ("job", 1, "pneumothorax", "1.2.3.1")
    assert (job.words, job.at, job.attempt, job.study_uid) == (
        "GiveUp: no model",
        2500.0,
        1,
        "1.2.1",
    )
    assert (delivery.kind, delivery.id, delivery.where) == ("delivery", 1, "pacs")
    assert (delivery.subject, delivery.words) == ("sr 9.2.sr", "GiveUp: 0x0122")
    assert retry(ledger.engine, delivery_id=delivery.id, job_id=job.id, now=5001.0) == 2
    assert take_snapshot(engine, 5002.0).dead_letters == ()


def test_a_timeline_tells_the_way_of_a_study(ledger: SqlLedger, engine: Engine) -> None:
    ledger.record(arrival(1), jobs_of("urgent"))
    claim = claimed(ledger, 1000.1)
    ledger.finish_jobs(claim, outcome(1, kinds=("sr", "oru")), 1000.5)
    sent = batch(ledger, 1000.6)
    ledger.finish_deliveries(sent, (Acknowledgement(sent.deliveries[0].id, "0x0000"),), (), 1000.7)
    told = batch(ledger, 1000.8)
    failed = DeliveryFailure(told.deliveries[0].id, Failure(None, "GiveUp: AE"))
    ledger.finish_deliveries(told, (), (failed,), 1000.9)
    finished(ledger, 2)
    assert timeline(engine, "1.2.1") == (
        Moment(1000.0, "received", "1.2.3.1", "CR1", "analysed"),
        Moment(1000.1, "claimed", "1.2.3.1", "pneumothorax", "w1"),
        Moment(1000.5, "finished", "1.2.3.1", "pneumothorax", "analysed"),
        Moment(1000.7, "delivered", "1.2.3.1", "sr", "pacs: 0x0000"),
        Moment(1000.9, "discarded", "1.2.3.1", "oru", "ris: GiveUp: AE"),
    )
    assert timeline(engine, "9.9.9") == ()


def test_a_study_that_failed_or_waits_is_told_too(ledger: SqlLedger, engine: Engine) -> None:
    ledger.record(arrival(1), ONE_JOB)
    assert [moment.step for moment in timeline(engine, "1.2.1")] == ["received"]
    ledger.fail_jobs(claimed(ledger), Failure(None, "GiveUp: no model"), 2500.0)
    steps = [(moment.step, moment.words) for moment in timeline(engine, "1.2.1")]
    assert steps[1:] == [("claimed", "w1"), ("discarded", "GiveUp: no model")]
