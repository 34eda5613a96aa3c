from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Event
from typing import NoReturn

import pytest

from dicom_node.assembly import parts as node
from dicom_node.domain.work import Admission
from dicom_node.operations import schedule
from dicom_node.settings.settings import load_settings
from dicom_node.storage.database.schema import deliveries, jobs
from tests.support.listeners import until
from tests.support.rows import ONE_JOB, arrival, column, finished, rows


def never(*_: object) -> NoReturn:
    raise AssertionError("its own thread sends")


def test_results_for_a_lost_destination_become_dead_letters_at_once(tmp_path: Path) -> None:
    config = tmp_path / "node.toml"
    config.write_text('node.data_dir = "var"')
    parts = node.open_parts(load_settings(config), migrate=True)
    for number in range(1, 4):
        finished(parts.ledger, number, kinds=("sr", "oru"))
    schedule._discard_unroutable_deliveries(parts, {"ris": never})
    states = {(row["destination"], row["state"]) for row in rows(parts.engine, deliveries)}
    assert states == {("pacs", "discarded"), ("ris", "available")}
    parts.close()


def test_peers_that_hang_hold_up_no_rescue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "node.toml"
    config.write_text('node.data_dir = "var"')
    parts, answered = node.open_parts(load_settings(config), migrate=True), Event()
    hanging = tuple((1, partial(answered.wait, 30)) for _ in range(12))
    monkeypatch.setattr(schedule, "commit_jobs", lambda _parts: hanging)
    monkeypatch.setattr(schedule, "RESCUE_EVERY_S", 2)
    parts.ledger.record(arrival(1), ONE_JOB)
    assert parts.ledger.claim_jobs("dead", parts.clock() - 60, 15.0)
    with schedule.tidying(parts, {}, answered.wait):
        until(lambda: column(parts.engine, jobs, "state") == ["available"], "the rescue")
        answered.set()
    parts.close()


def test_a_host_whose_clock_is_ahead_erases_nothing_early(tmp_path: Path) -> None:
    config = tmp_path / "node.toml"
    config.write_text('node.data_dir = "var"')
    parts = replace(node.open_parts(load_settings(config), migrate=True), clock=lambda: 1e9)
    file = parts.archive.put([b"film"], "instances", ".dcm")
    received = replace(arrival(1, at=1e9 - 60), file=file)
    parts.ledger.record(received, Admission(not_analysed="own result"))
    schedule._expire(parts)
    assert parts.archive.read(file.key) == b"film"
    parts.close()
