"""What a peer must commit to, on every database."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import Engine

from dicom_node.commands.status import in_words
from dicom_node.domain.exchange.commitment import (
    ASK_RETRY,
    CLASS_NOT_SUPPORTED,
    DUPLICATE_TRANSACTION,
    MOST_ASKED,
    NO_SUCH_INSTANCE,
    CommitmentOutcome,
    Report,
    Request,
)
from dicom_node.domain.operations.status import Commitments, Moment
from dicom_node.domain.work import Acknowledgement
from dicom_node.storage.database.schema import alarms, commitment_requests, commitments, deliveries
from dicom_node.storage.queue.commitments import HOLD_S, PATIENT, SqlCommitments
from dicom_node.storage.queue.ledger import SqlLedger
from dicom_node.storage.queue.requeue import reanalyse, retry
from dicom_node.storage.status.retention import SqlRetention
from dicom_node.storage.status.status import take_snapshot, timeline
from tests.support.rows import ONE_JOB, arrival, claimed, column, finished, outcome

NOW = 3000.0
WAIT_S = 60.0
SEG, SR = "9.1.seg", "9.1.sr"


@pytest.fixture
def ledger(engine: Engine) -> SqlLedger:
    return SqlLedger(engine, frozenset({"pacs"}))


@pytest.fixture
def book(engine: Engine) -> SqlCommitments:
    return SqlCommitments(engine)


def deliver(ledger: SqlLedger, now: float = NOW) -> None:
    """Let the PACS take all that is due."""
    taken = ledger.claim_deliveries("d", now, 60.0, "pacs")
    assert taken is not None, "nothing to send"
    arrived = tuple(Acknowledgement(one.id, "0x0000") for one in taken.deliveries)
    ledger.finish_deliveries(taken, arrived, (), now)


def asked(book: SqlCommitments, now: float = NOW) -> Request:
    request = book.ask("pacs", now)
    assert request is not None, "nothing to ask"
    book.asked(request, now, WAIT_S)
    return request


def uids(request: Request) -> list[str]:
    return [ref.sop_instance_uid for ref in request.objects]


def test_what_the_peer_keeps_is_committed_once(
    ledger: SqlLedger, book: SqlCommitments, engine: Engine
) -> None:
    finished(ledger, kinds=("seg", "sr", "oru"))
    assert book.ask("pacs", NOW) is None  # nothing was sent yet
    deliver(ledger)
    request = asked(book)
    assert uids(request) == [SEG, SR]
    assert book.ask("pacs", NOW + 1) is None
    report = Report(request.transaction_uid, (SEG, SR))
    assert book.record_report(report, ("other", "pacs"), NOW + 2) == CommitmentOutcome(committed=2)
    assert column(engine, commitments, "state") == ["committed"] * 2
    assert column(engine, commitments, "settled_at") == [NOW + 2] * 2
    # the peer did not get our answer and says it again
    assert book.record_report(report, ("pacs",), NOW + 3) == CommitmentOutcome()
    assert column(engine, commitments, "settled_at") == [NOW + 2] * 2
    assert book.ask("pacs", NOW + 1e6) is None


def test_only_the_peer_that_was_asked_is_believed(ledger: SqlLedger, book: SqlCommitments) -> None:
    finished(ledger, kinds=("seg",))
    deliver(ledger)
    request = asked(book)
    assert book.record_report(Report(request.transaction_uid, (SEG,)), ("other",), NOW) is None
    assert book.record_report(Report("1.2.3", (SEG,)), ("pacs",), NOW) is None
    assert book.ask("pacs", NOW + WAIT_S) is not None


def test_a_missing_object_is_sent_again_and_asked_about_anew(
    ledger: SqlLedger, book: SqlCommitments, engine: Engine
) -> None:
    finished(ledger, kinds=("seg", "sr"))
    deliver(ledger)
    first = asked(book)
    report = Report(first.transaction_uid, (SEG,), ((SR, NO_SUCH_INSTANCE),))
    assert book.record_report(report, ("pacs",), NOW) == CommitmentOutcome(committed=1, again=1)
    assert column(engine, deliveries, "state") == ["completed", "available"]
    assert book.ask("pacs", NOW + 5) is None  # not before it is there again
    deliver(ledger, NOW + 5)
    second = asked(book, NOW + 6)
    assert uids(second) == [SR]
    assert second.transaction_uid != first.transaction_uid
    # what the peer said before it got the object again counts no more
    assert (
        book.record_report(Report(first.transaction_uid, (SR,)), ("pacs",), NOW + 7)
        == CommitmentOutcome()
    )
    assert book.record_report(report, ("pacs",), NOW + 7) == CommitmentOutcome()
    assert (
        book.record_report(Report(second.transaction_uid, (SR,)), ("pacs",), NOW + 8).committed == 1
    )  # type: ignore[union-attr] # known
    assert column(engine, commitments, "state") == ["committed"] * 2


def test_silence_is_asked_again_under_another_uid_after_growing_pauses(
    ledger: SqlLedger, book: SqlCommitments, engine: Engine
) -> None:
    finished(ledger, kinds=("seg",))
    deliver(ledger)
    now, seen = NOW, []
    for times in range(MOST_ASKED):
        seen.append(asked(book, now).transaction_uid)
        pause_s = WAIT_S * 2**times
        assert book.ask("pacs", now + pause_s - 1) is None
        now += pause_s
    assert len(set(seen)) == MOST_ASKED
    assert book.ask("pacs", now) is None
    assert column(engine, commitments, "state") == ["given up"]
    assert column(engine, deliveries, "state") == ["discarded"]
    assert "asked 8 times" in str(column(engine, deliveries, "last_error"))
    assert set(column(engine, alarms, "kind")) == {"delivery_discarded", "not committed by pacs"}


def test_a_late_report_counts(ledger: SqlLedger, book: SqlCommitments) -> None:
    finished(ledger, kinds=("seg",))
    deliver(ledger)
    first = asked(book)
    asked(book, NOW + WAIT_S)
    heard = book.record_report(Report(first.transaction_uid, (SEG,)), ("pacs",), NOW + WAIT_S + 1)
    assert heard == CommitmentOutcome(committed=1)
    assert book.ask("pacs", NOW + 1e6) is None


def test_a_person_sends_what_was_given_up_with_all_its_chances(
    ledger: SqlLedger, book: SqlCommitments, engine: Engine
) -> None:
    finished(ledger, kinds=("seg",))
    deliver(ledger)
    report = Report(asked(book).transaction_uid, (), ((SEG, CLASS_NOT_SUPPORTED),))
    assert book.record_report(report, ("pacs",), NOW) == CommitmentOutcome(given_up=1)
    assert book.ask("pacs", NOW + 1e6) is None
    assert retry(ledger.engine, all_dead=True, now=NOW) == 1
    deliver(ledger)
    assert column(engine, commitments, "asked") == [0]
    report = Report(asked(book).transaction_uid, (SEG,))
    assert book.record_report(report, ("pacs",), NOW) == CommitmentOutcome(committed=1)
    assert None not in column(engine, alarms, "closed_at")


def test_a_used_transaction_uid_is_asked_again_and_not_sent(
    ledger: SqlLedger, book: SqlCommitments, engine: Engine
) -> None:
    finished(ledger, kinds=("seg",))
    deliver(ledger)
    first = asked(book)
    report = Report(first.transaction_uid, (), ((SEG, DUPLICATE_TRANSACTION),))
    assert book.record_report(report, ("pacs",), NOW) == CommitmentOutcome(again=1)
    assert column(engine, deliveries, "state") == ["completed"]
    assert book.ask("pacs", NOW + 1) is None
    assert asked(book, NOW + 60).transaction_uid != first.transaction_uid


def test_a_request_that_was_not_taken_is_repeated_and_then_given_up(
    ledger: SqlLedger, book: SqlCommitments, engine: Engine
) -> None:
    finished(ledger, kinds=("seg",))
    deliver(ledger)
    now = NOW
    for times in range(1, ASK_RETRY.attempts + 1):
        request = book.ask("pacs", now)
        assert request is not None
        book.not_asked(request, "cannot connect", now)
        assert bool(column(engine, alarms, "kind")) == (times >= PATIENT)
        now += ASK_RETRY.longest_s
    assert book.ask("pacs", now) is None
    assert column(engine, commitments, "state") == ["given up"]
    assert column(engine, commitments, "asked") == [1]


def test_an_asker_that_died_is_replaced(ledger: SqlLedger, book: SqlCommitments) -> None:
    finished(ledger, kinds=("seg",))
    deliver(ledger)
    lost = book.ask("pacs", NOW)
    assert lost is not None
    assert book.ask("pacs", NOW + HOLD_S - 1) is None
    again = book.ask("pacs", NOW + HOLD_S)
    assert again is not None
    assert again.transaction_uid != lost.transaction_uid


def test_a_report_may_come_before_the_answer(
    ledger: SqlLedger, book: SqlCommitments, engine: Engine
) -> None:
    finished(ledger, kinds=("seg",))
    deliver(ledger)
    request = book.ask("pacs", NOW)
    assert request is not None
    assert book.record_report(
        Report(request.transaction_uid, (SEG,)), ("pacs",), NOW
    ) == CommitmentOutcome(1)
    book.asked(request, NOW, WAIT_S)
    assert column(engine, commitments, "state") == ["committed"]


def test_files_are_kept_until_the_peer_keeps_them(
    ledger: SqlLedger, book: SqlCommitments, retention: SqlRetention
) -> None:
    finished(ledger, kinds=("seg",))
    deliver(ledger)
    assert retention.old_files("objects", 9e9, 9e9, 10) == ()
    request = asked(book)
    assert retention.old_files("objects", 9e9, 9e9, 10) == ()
    book.record_report(Report(request.transaction_uid, (SEG,)), ("pacs",), NOW)
    (kept,) = retention.old_files("objects", 9e9, 9e9, 10)
    retention.forget_files("objects", [kept.row_id], NOW)
    retention.forget_files(
        "instances", [one.row_id for one in retention.old_files("instances", 9e9, 9e9, 9)], NOW
    )
    assert retention.prune(9e9, 10) == 1


def test_what_was_given_up_is_kept_as_a_dead_letter_is(
    ledger: SqlLedger, book: SqlCommitments, retention: SqlRetention
) -> None:
    finished(ledger, kinds=("seg",))
    deliver(ledger)
    report = Report(asked(book).transaction_uid, (), ((SEG, CLASS_NOT_SUPPORTED),))
    book.record_report(report, ("pacs",), NOW)
    assert retention.old_files("objects", 9e9, 0.0, 10) == ()
    assert len(retention.old_files("objects", 9e9, 9e9, 10)) == 1


def test_a_peer_that_is_asked_no_more_holds_up_nothing(
    ledger: SqlLedger, book: SqlCommitments, retention: SqlRetention, engine: Engine
) -> None:
    finished(ledger, kinds=("seg",))
    deliver(ledger)
    asked(book)
    assert book.tidy(("pacs",), NOW - 1) == 0
    assert len(column(engine, commitment_requests, "transaction_uid")) == 1
    assert book.tidy((), NOW + 1) == 1
    assert column(engine, commitments, "state") == ["called off"]
    assert column(engine, commitment_requests, "transaction_uid") == []
    assert book.ask("pacs", NOW + 1e6) is None
    assert len(retention.old_files("objects", 9e9, 9e9, 10)) == 1


def test_other_peers_owe_nothing(engine: Engine, book: SqlCommitments) -> None:
    ledger = SqlLedger(engine, frozenset({"archive"}))
    finished(ledger, kinds=("seg",))
    deliver(ledger)
    assert column(engine, commitments, "state") == []
    assert book.ask("pacs", NOW) is None


def test_people_see_what_is_kept_and_what_is_not(
    ledger: SqlLedger, book: SqlCommitments, engine: Engine
) -> None:
    finished(ledger, kinds=("seg", "sr", "sc"))
    assert take_snapshot(engine, NOW).commitments == ()
    deliver(ledger)
    (seen,) = take_snapshot(engine, NOW + 20).commitments
    assert seen == Commitments("pacs", uncommitted=3, committed=0, given_up=0, oldest_s=20.0)
    uid = asked(book).transaction_uid
    failed = ((SR, NO_SUCH_INSTANCE), ("9.1.sc", CLASS_NOT_SUPPORTED))
    book.record_report(Report(uid, (SEG,), failed), ("pacs",), NOW + 30)
    snapshot = take_snapshot(engine, NOW + 40)
    assert snapshot.commitments == (Commitments("pacs", 1, 1, 1, 40.0),)
    assert (
        "commitment  pacs: 1 uncommitted, 1 committed, 1 given up; the oldest waits for 40 s"
    ) in in_words(snapshot, 0)
    kept = [one for one in timeline(engine, "1.2.1") if one.step == "committed"]
    assert kept == [Moment(NOW + 30, "committed", "1.2.3.1", "seg", f"pacs: transaction {uid}")]


def test_two_askers_never_ask_about_the_same_object(
    ledger: SqlLedger, book: SqlCommitments, engine: Engine
) -> None:
    for number in range(1, 9):
        finished(ledger, number, kinds=("seg", "sr"))
        deliver(ledger)
    together = threading.Barrier(4)

    def ask(_: int) -> list[str]:
        together.wait()
        request = book.ask("pacs", NOW)
        return [] if request is None else uids(request)

    with ThreadPoolExecutor(4) as pool:
        named = [uid for part in pool.map(ask, range(4)) for uid in part]
    assert len(named) == len(set(named)) == 16
    assert column(engine, commitments, "asked") == [1] * 16


def test_what_a_later_reading_replaced_is_not_sent_again(
    ledger: SqlLedger, book: SqlCommitments, engine: Engine
) -> None:
    ledger.record(arrival(1), ONE_JOB)
    for number in (1, 2):
        made = outcome(number, kinds=("sr",))
        (placed,) = ((replace(one, slot="chest sr"), file) for one, file in made.objects)
        ledger.finish_jobs(claimed(ledger), replace(made, objects=(placed,)), NOW)
        deliver(ledger)
        reanalyse(ledger.engine, since=0.0, now=NOW)
    request = asked(book)
    old, new = uids(request)
    failed = ((old, NO_SUCH_INSTANCE), (new, NO_SUCH_INSTANCE))
    report = Report(request.transaction_uid, (), failed)
    assert book.record_report(report, ("pacs",), NOW) == CommitmentOutcome(again=1)
    assert column(engine, commitments, "state") == ["called off", "sending"]
    assert column(engine, deliveries, "state") == ["completed", "available"]
