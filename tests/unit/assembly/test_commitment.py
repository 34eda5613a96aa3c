"""Storage commitment over real associations, with a PACS made by the test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from dicom_node.assembly import commitment
from dicom_node.domain.exchange.commitment import (
    INVALID_ARGUMENT,
    NO_SUCH_CLASS,
    NO_SUCH_EVENT_TYPE,
    NO_SUCH_INSTANCE,
    PROCESSING_FAILURE,
    PUSH_MODEL,
)
from tests.support.commitment.pacs import Failed, Pacs, call, pacs, report, unknown
from tests.support.commitment.site import Site, receiving, site
from tests.support.listeners import free_port, until


@pytest.fixture(scope="module")
def silent() -> Iterator[Pacs]:
    """A PACS that takes requests and does not report by itself."""
    with pacs() as running:
        yield running


@pytest.fixture(scope="module")
def ward(silent: Pacs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A node that receives; its tests follow each other."""
    with site(tmp_path_factory.mktemp("site"), silent.port) as made, receiving(made):
        yield made


def asked(ward: Site, silent: Pacs) -> tuple[str, str]:
    """Deliver one result and ask about it; gives the transaction's UID and its own."""
    uid = ward.make()
    assert ward.deliver() == 1
    assert ward.ask() == 1
    transaction_uid, uids = silent.asked()
    assert uids == [uid]
    return transaction_uid, uid


def kept(transaction_uid: str, uids: list[str]) -> Dataset:
    return report(transaction_uid, uids)


def test_a_report_on_the_same_association(tmp_path: Path) -> None:
    with pacs(reports=kept) as running, site(tmp_path, running.port) as made:
        uids = [made.make(), made.make()]
        for _ in uids:
            made.deliver()
        commitment.ask_peer(made.parts, made.peer)
        assert running.asked()[1] == uids
        assert made.states() == ["committed"] * 2
        until(lambda: running.answers == [0x0000], "the answer to the report")
        commitment.ask_peer(made.parts, made.peer)
        assert len(running.requests) == 1


def test_a_report_that_comes_before_the_answer(tmp_path: Path) -> None:
    with pacs(reports=kept, early=True) as running, site(tmp_path, running.port) as made:
        made.make()
        made.deliver()
        made.ask(linger_s=20)
        assert made.states() == ["committed"]
        assert made.rows("failures") == [0]
        assert running.answers == [0x0000]


def test_what_is_missing_is_sent_again_under_another_transaction(tmp_path: Path) -> None:
    lost: list[str] = []

    def some(transaction_uid: str, uids: list[str]) -> Dataset:
        failed: Failed = [(uid, NO_SUCH_INSTANCE) for uid in uids if uid in lost]
        return report(transaction_uid, [uid for uid in uids if uid not in lost], failed)

    with pacs(reports=some) as running, site(tmp_path, running.port) as made:
        kept, gone = made.make(), made.make()
        lost.append(gone)
        while made.deliver():
            pass
        made.ask(linger_s=20)
        assert made.states() == ["committed", "sending"]
        lost.clear()
        assert made.deliver() == 1
        assert running.stored == [kept, gone, gone]
        made.ask(linger_s=20)
        assert made.states() == ["committed"] * 2
        (first, _), (second, uids) = running.asked(0), running.asked(1)
        assert first != second
        assert uids == [gone]


def test_a_report_on_an_association_of_the_peers_own(ward: Site, silent: Pacs) -> None:
    transaction_uid, uid = asked(ward, silent)
    assert ward.states()[-1] == "asked"
    said = report(transaction_uid, [uid])
    assert call(ward.port, said) == 0x0000
    assert ward.states()[-1] == "committed"
    at = ward.rows("settled_at")
    assert call(ward.port, said) == 0x0000
    assert ward.rows("settled_at") == at


def test_a_peer_that_selects_no_role_is_heard(ward: Site, silent: Pacs) -> None:
    transaction_uid, uid = asked(ward, silent)
    assert call(ward.port, report(transaction_uid, [uid]), roles=False) == 0x0000
    assert ward.states()[-1] == "committed"


def test_a_failure_with_a_reason(ward: Site, silent: Pacs) -> None:
    transaction_uid, uid = asked(ward, silent)
    said = report(transaction_uid, [], [(uid, PROCESSING_FAILURE)])
    assert call(ward.port, said, event_type=2) == 0x0000
    assert ward.states()[-1] == "sending"
    assert ward.rows("words")[-1] == "not committed: 0x0110 processing failure"
    assert ward.deliver() == 1
    assert silent.stored[-2:] == [uid, uid]
    # an answer to the first request tells nothing of what was sent after it
    assert call(ward.port, report(transaction_uid, [uid])) == 0x0000
    assert ward.states()[-1] == "due"
    assert ward.ask() == 1
    assert call(ward.port, report(silent.asked()[0], [uid])) == 0x0000
    assert ward.states()[-1] == "committed"


def test_reports_that_are_not_understood_change_nothing(ward: Site, silent: Pacs) -> None:
    transaction_uid, uid = asked(ward, silent)
    good, states = report(transaction_uid, [uid]), ward.states()
    empty = report(transaction_uid, [])
    assert call(ward.port, report(unknown(), [uid])) == INVALID_ARGUMENT
    assert call(ward.port, empty) == INVALID_ARGUMENT
    assert call(ward.port, good, event_type=3) == NO_SUCH_EVENT_TYPE
    assert call(ward.port, good, instance=unknown()) == NO_SUCH_INSTANCE
    assert ward.states() == states
    assert call(ward.port, good) == 0x0000


def test_other_callers_have_no_context_for_it(ward: Site, silent: Pacs) -> None:
    transaction_uid, uid = asked(ward, silent)
    assert call(ward.port, report(transaction_uid, [uid]), ae="XRAY1") is None
    assert ward.states()[-1] == "asked"


def test_silence_is_asked_again_under_another_transaction(tmp_path: Path, silent: Pacs) -> None:
    with site(tmp_path, silent.port, timeout_s=60) as made:
        first, uid = asked(made, silent)
        assert made.ask() == 0
        assert made.ask(later_s=61) == 1
        assert silent.asked()[1] == [uid]
        assert silent.asked()[0] != first


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (NO_SUCH_CLASS, "N-ACTION answered 0x0118"),
        (PROCESSING_FAILURE, "N-ACTION answered 0x0110"),
        (None, "the peer does not offer storage commitment (no presentation context)"),
    ],
)
def test_a_request_that_is_not_taken_is_put_off(
    status: int | None, words: str, tmp_path: Path
) -> None:
    offered = {"offered": ()} if status is None else {}
    with pacs(status or 0, **offered) as running, site(tmp_path, running.port) as made:
        made.make()
        made.deliver()
        assert made.ask() == 1
        assert (made.states(), made.rows("asked")) == (["due"], [0])
        assert made.rows("words") == [words]
        assert made.ask() == 0
        assert made.ask(later_s=31) == 1


@pytest.mark.parametrize(
    ("offered", "words"),
    [(True, "offers storage commitment"), (False, "does not offer storage commitment")],
)
def test_check_says_whether_a_peer_offers_it(offered: bool, words: str, tmp_path: Path) -> None:
    classes = (PUSH_MODEL,) if offered else ()
    with pacs(offered=classes) as running, site(tmp_path, running.port) as made:
        (check,) = commitment.probe(made.parts.settings, made.peer)
        assert (check.ok, words in check.words) == (offered, True)
        assert list(commitment.probe(made.parts.settings, made.parts.settings.peers[1])) == []


def test_a_peer_that_is_away_is_asked_later(tmp_path: Path) -> None:
    with pacs() as running, site(tmp_path, running.port) as made:
        made.make()
        made.deliver()
    with site(tmp_path, free_port()) as made:
        assert made.ask() == 1
        assert made.states() == ["due"]
        assert "cannot connect" in str(made.rows("words"))
        (check,) = commitment.probe(made.parts.settings, made.peer)
        assert not check.ok
