"""Callers that knock, are let in, and are forgotten."""

import pytest
from sqlalchemy import Engine

from dicom_node.storage.queue import callers
from dicom_node.storage.queue.callers import (
    approve,
    forget,
    is_approved,
    list_callers,
    record_caller,
)
from dicom_node.storage.status.retention import SqlRetention


def test_only_who_was_turned_away_is_approved(engine: Engine) -> None:
    assert not approve(engine, "XRAY7", "10.0.0.31", 1.0)
    record_caller(engine, "XRAY7", "10.0.0.31", 2.0)
    record_caller(engine, "XRAY7", "10.0.0.32", 3.0)
    assert not is_approved(engine, "XRAY7", "10.0.0.31")
    assert approve(engine, "XRAY7", "10.0.0.31", 4.0)
    assert is_approved(engine, "XRAY7", "10.0.0.31")
    assert not is_approved(engine, "XRAY7", "10.0.0.32")
    assert not is_approved(engine, "xray7", "10.0.0.31")
    waiting, let_in = list_callers(engine)
    assert [(one.ae, one.host, one.times) for one in waiting] == [("XRAY7", "10.0.0.32", 1)]
    assert let_in == (("XRAY7", "10.0.0.31", 4.0),)


def test_who_is_forgotten_must_knock_again(engine: Engine) -> None:
    assert not forget(engine, "XRAY7", "10.0.0.31")
    record_caller(engine, "XRAY7", "10.0.0.31", 1.0)
    assert forget(engine, "XRAY7", "10.0.0.31")
    assert not approve(engine, "XRAY7", "10.0.0.31", 2.0)
    record_caller(engine, "XRAY7", "10.0.0.31", 3.0)
    assert approve(engine, "XRAY7", "10.0.0.31", 4.0)
    assert forget(engine, "XRAY7", "10.0.0.31")
    assert not is_approved(engine, "XRAY7", "10.0.0.31")
    assert list_callers(engine) == ((), ())


def test_an_approval_outlives_the_rows_of_the_log(engine: Engine) -> None:
    record_caller(engine, "A", "h", 1.0)
    record_caller(engine, "B", "h", 1.0)
    approve(engine, "A", "h", 2.0)
    SqlRetention(engine).prune_alarms(1e9)
    assert list_callers(engine) == ((), (("A", "h", 2.0),))


def test_endlessly_many_names_fill_no_table(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callers, "MOST", 3)
    for number in range(6):
        record_caller(engine, f"NAME{number}", "10.0.0.66", 10.0 + number)
        record_caller(engine, "XRAY7", "10.0.0.31", 10.5 + number)  # knocks again and again
    waiting, _ = list_callers(engine)
    assert [(one.ae, one.times) for one in waiting] == [("XRAY7", 6), ("NAME5", 1), ("NAME4", 1)]
