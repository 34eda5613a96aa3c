"""Every answer reaches the one who asked, however the threads run."""

import threading
import time

import pytest
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider

from dicom_node.network.dimse import association
from dicom_node.network.dimse.association import Checkpoint
from tests.support.query_peers import QUESTION, asking, find_of, pacs, study

STUDIES = tuple(f"1.{n}" for n in range(20))


@pytest.fixture
def held_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hold up pynetdicom's thread where it looks for requests, until answers have come."""
    get_msg = DIMSEServiceProvider.get_msg

    def pause(assoc: Association, value: bool) -> None:
        if not value and threading.current_thread() is assoc:
            time.sleep(0.02)
        assoc.__dict__["_is_paused"] = value

    def slowly(provider: DIMSEServiceProvider, block: bool = False) -> object:
        if block:
            time.sleep(0.01)  # the other thread's chance
        elif provider.assoc.is_requestor:
            until = time.monotonic() + 0.1
            while provider.msg_queue.empty() and time.monotonic() < until:
                time.sleep(0.001)
        return get_msg(provider, block)

    state = property(lambda assoc: assoc.__dict__["_is_paused"], pause)
    monkeypatch.setattr(Association, "_is_paused", state, raising=False)
    monkeypatch.setattr(DIMSEServiceProvider, "get_msg", slowly)


def times_complete(rounds: int) -> int:
    with pacs(find_of(*(study(uid) for uid in STUDIES))) as target, asking(target) as origin:
        return sum(origin.studies(QUESTION) == STUDIES for _ in range(rounds))


@pytest.mark.usefixtures("held_up")
def test_no_answer_is_dropped() -> None:
    assert times_complete(5) == 5


@pytest.mark.usefixtures("held_up")
def test_the_trap_is_real(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the checkpoint answers do get lost; no longer so: pynetdicom was mended."""
    monkeypatch.setattr(association, "guard_answers", lambda assoc: None)
    assert times_complete(5) < 5


def test_a_thread_that_has_ended_or_asks_itself_is_not_waited_for() -> None:
    thread = threading.Thread(target=lambda: Checkpoint(threading.current_thread()).clear())
    thread.start()
    thread.join(5)
    assert not thread.is_alive()
    Checkpoint(thread).clear()


def test_clear_comes_back_when_the_thread_stands_and_set_lets_it_go() -> None:
    ticks: list[float] = []
    leave = threading.Event()

    def run() -> None:
        while not leave.is_set():
            checkpoint.wait()
            ticks.append(time.monotonic())

    thread = threading.Thread(target=run)
    checkpoint = Checkpoint(thread)
    thread.start()
    for _ in range(200):
        checkpoint.clear()
        before = len(ticks)
        time.sleep(0.0005)
        assert len(ticks) == before
        checkpoint.set()
    leave.set()
    thread.join(5)
    assert not thread.is_alive()
    assert ticks
