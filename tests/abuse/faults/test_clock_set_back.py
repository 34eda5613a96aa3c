"""A clock that is set back while the node runs holds nothing up."""

import datetime
import time
from threading import Event

import pytest
from apscheduler.executors import base as executors
from apscheduler.schedulers import base as schedulers
from apscheduler.triggers import interval

from dicom_node.operations import schedule
from tests.support.listeners import free_port, until
from tests.support.node import MakeNode

SITE = """
[[peers]]
name = "pacs"
ae_title = "PACS"
host = "127.0.0.1"
port = {port}
[[routes]]
name = "chest"
send_to = ["pacs"]
"""
BACK_S = 3600.0


class Clock(datetime.datetime):
    """The time of day that APScheduler sees."""

    behind_s = 0.0

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:  # type: ignore[override] # as it is used
        return datetime.datetime.now(tz) - datetime.timedelta(seconds=cls.behind_s)


def test_what_a_dead_worker_held_is_rescued_at_once(
    make_node: MakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = time.time
    monkeypatch.setattr(Clock, "behind_s", 0.0)
    monkeypatch.setattr(time, "time", lambda: true() - Clock.behind_s)
    for module in (schedule, schedulers, executors, interval):
        monkeypatch.setattr(module, "datetime", Clock)
    monkeypatch.setattr(schedule, "RESCUE_EVERY_S", 1)
    monkeypatch.setattr(schedule, "STEP_S", 0.2)
    node = make_node(SITE.format(port=free_port()))
    ledger = node.parts.ledger
    node.receive()
    with schedule.tidying(node.parts, {}, Event().wait):
        time.sleep(1.5)  # a turn at the old time
        assert ledger.claim_jobs("dead", time.time(), 15.0)
        Clock.behind_s = BACK_S
        until(lambda: bool(ledger.claim_jobs("alive", time.time(), 15.0)), "the rescue", 15)
