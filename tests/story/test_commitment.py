"""Storage commitment over real associations, with a PACS made by the test."""

import threading
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
from dicom_node.roles.deliver import run as run_deliver
from tests.support.committing_node import CommittingNode, committing_node, receiving
from tests.support.committing_pacs import Failed, Pacs, call, pacs, report, unknown
from tests.support.listeners import free_port, until


@pytest.fixture(scope="module")
def silent() -> Iterator[Pacs]:
    """A PACS that takes requests and does not report by itself."""
    with pacs() as running:
        yield running


@pytest.fixture(scope="module")
def node(silent: Pacs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommittingNode]:
    """A node that receives; its tests follow each other."""
    with committing_node(tmp_path_factory.mktemp("site"), silent.port) as made, receiving(made):
        yield made


def asked(node: CommittingNode, silent: Pacs) -> tuple[str, str]:
    """Deliver one result and ask about it; gives the transaction's UID and its own."""
    uid = node.make()
    assert node.deliver_now() == 1
    assert node.ask() == 1
    transaction_uid, uids = silent.asked()
    assert uids == [uid]
    return transaction_uid, uid


def kept(transaction_uid: str, uids: list[str]) -> Dataset:
    return report(transaction_uid, uids)


def test_a_report_on_the_same_association(tmp_path: Path) -> None:
    with pacs(reports=kept) as running, committing_node(tmp_path, running.port) as made:
        uids = [made.make(), made.make()]
        for _ in uids:
            made.deliver_now()
        commitment.ask_peer(made.parts, made.peer)
        assert running.asked()[1] == uids
        assert made.states() == ["committed"] * 2
        until(lambda: running.answers == [0x0000], "the answer to the report")
        commitment.ask_peer(made.parts, made.peer)
        assert len(running.requests) == 1


def test_a_report_that_comes_before_the_answer(tmp_path: Path) -> None:
    with pacs(reports=kept, early=True) as running, committing_node(tmp_path, running.port) as made:
        made.make()
        made.deliver_now()
        made.ask(linger_s=20)
        assert made.states() == ["committed"]
        assert made.values("failures") == [0]
        assert running.answers == [0x0000]


def test_what_is_missing_is_sent_again_under_another_transaction(tmp_path: Path) -> None:
    lost: list[str] = []

    def some(transaction_uid: str, uids: list[str]) -> Dataset:
        failed: Failed = [(uid, NO_SUCH_INSTANCE) for uid in uids if uid in lost]
        return report(transaction_uid, [uid for uid in uids if uid not in lost], failed)

    with pacs(reports=some) as running, committing_node(tmp_path, running.port) as made:
        kept, gone = made.make(), made.make()
        lost.append(gone)
        while made.deliver_now():
            pass
        made.ask(linger_s=20)
        assert made.states() == ["committed", "sending"]
        lost.clear()
        assert made.deliver_now() == 1
        assert running.stored == [kept, gone, gone]
        made.ask(linger_s=20)
        assert made.states() == ["committed"] * 2
        (first, _), (second, uids) = running.asked(0), running.asked(1)
        assert first != second
        assert uids == [gone]


def test_a_report_on_an_association_of_the_peers_own(node: CommittingNode, silent: Pacs) -> None:
    transaction_uid, uid = asked(node, silent)
    assert node.states()[-1] == "asked"
    said = report(transaction_uid, [uid])
    assert call(node.port, said) == 0x0000
    assert node.states()[-1] == "committed"
    at = node.values("settled_at")
    assert call(node.port, said) == 0x0000
    assert node.values("settled_at") == at


def test_a_peer_that_selects_no_role_is_heard(node: CommittingNode, silent: Pacs) -> None:
    transaction_uid, uid = asked(node, silent)
    assert call(node.port, report(transaction_uid, [uid]), roles=False) == 0x0000
    assert node.states()[-1] == "committed"


def test_a_failure_with_a_reason(node: CommittingNode, silent: Pacs) -> None:
    transaction_uid, uid = asked(node, silent)
    said = report(transaction_uid, [], [(uid, PROCESSING_FAILURE)])
    assert call(node.port, said, event_type=2) == 0x0000
    assert node.states()[-1] == "sending"
    assert node.values("words")[-1] == "not committed: 0x0110 processing failure"
    assert node.deliver_now() == 1
    assert silent.stored[-2:] == [uid, uid]
    # an answer to the first request tells nothing of what was sent after it
    assert call(node.port, report(transaction_uid, [uid])) == 0x0000
    assert node.states()[-1] == "due"
    assert node.ask() == 1
    assert call(node.port, report(silent.asked()[0], [uid])) == 0x0000
    assert node.states()[-1] == "committed"


def test_reports_that_are_not_understood_change_nothing(node: CommittingNode, silent: Pacs) -> None:
    transaction_uid, uid = asked(node, silent)
    good, states = report(transaction_uid, [uid]), node.states()
    empty = report(transaction_uid, [])
    assert call(node.port, report(unknown(), [uid])) == INVALID_ARGUMENT
    assert call(node.port, empty) == INVALID_ARGUMENT
    assert call(node.port, good, event_type=3) == NO_SUCH_EVENT_TYPE
    assert call(node.port, good, instance=unknown()) == NO_SUCH_INSTANCE
    assert node.states() == states
    assert call(node.port, good) == 0x0000


def test_other_callers_have_no_context_for_it(node: CommittingNode, silent: Pacs) -> None:
    transaction_uid, uid = asked(node, silent)
    assert call(node.port, report(transaction_uid, [uid]), ae="XRAY1") is None
    assert node.states()[-1] == "asked"


def test_silence_is_asked_again_under_another_transaction(tmp_path: Path, silent: Pacs) -> None:
    with committing_node(tmp_path, silent.port, timeout_s=60) as made:
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
    with pacs(status or 0, **offered) as running, committing_node(tmp_path, running.port) as made:
        made.make()
        made.deliver_now()
        assert made.ask() == 1
        assert (made.states(), made.values("asked")) == (["due"], [0])
        assert made.values("words") == [words]
        assert made.ask() == 0
        assert made.ask(later_s=31) == 1


@pytest.mark.parametrize(
    ("offered", "words"),
    [(True, "offers storage commitment"), (False, "does not offer storage commitment")],
)
def test_check_says_whether_a_peer_offers_it(offered: bool, words: str, tmp_path: Path) -> None:
    classes = (PUSH_MODEL,) if offered else ()
    with pacs(offered=classes) as running, committing_node(tmp_path, running.port) as made:
        (check,) = commitment.probe(made.parts.settings, made.peer)
        assert (check.ok, words in check.words) == (offered, True)
        assert list(commitment.probe(made.parts.settings, made.parts.settings.peers[1])) == []


def test_a_peer_that_is_away_is_asked_later(tmp_path: Path) -> None:
    with pacs() as running, committing_node(tmp_path, running.port) as made:
        made.make()
        made.deliver_now()
    with committing_node(tmp_path, free_port()) as made:
        assert made.ask() == 1
        assert made.states() == ["due"]
        assert "cannot connect" in str(made.values("words"))
        (check,) = commitment.probe(made.parts.settings, made.peer)
        assert not check.ok


def test_results_are_committed_without_a_hand(tmp_path: Path) -> None:
    with pacs() as running, committing_node(tmp_path, running.port) as made, receiving(made):
        uid, stop = made.make(), threading.Event()
        role = threading.Thread(target=run_deliver, args=(made.parts.settings, stop))
        role.start()
        try:
            until(lambda: bool(running.requests), "a request", 60)
            transaction_uid, asked = running.asked()
            assert (running.stored, asked) == ([uid], [uid])
            # the association of the request may be open still
            assert call(made.port, report(transaction_uid, [uid])) == 0x0000
            assert made.states() == ["committed"]
        finally:
            stop.set()
            role.join(60)
    assert not role.is_alive()
