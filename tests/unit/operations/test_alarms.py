"""Alarms rise for what is wrong and close when it is over."""

import random
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from dicom_node.assembly.parts import Parts
from dicom_node.domain.operations.monitoring import DAY_S, Habit, population_stability, too_silent
from dicom_node.domain.study import AETitle, Peer
from dicom_node.operations import alarms
from dicom_node.settings.sections import AlarmsSection
from dicom_node.settings.settings import Settings
from dicom_node.storage.archive.files import FileArchive
from dicom_node.storage.database.schema import instances, results, score_references
from dicom_node.storage.database.transactions import transaction
from dicom_node.storage.queue import alarms as alarm_facts
from dicom_node.storage.queue.alarms import set_alarms
from dicom_node.storage.queue.ledger import SqlLedger
from dicom_node.storage.status.readings import take_readings
from dicom_node.storage.status.status import take_snapshot
from tests.support.rows import ONE_JOB, arrival, claimed, finished, jobs_of, outcome

HOUR_S = 3600.0
MONDAY = 1_700_000_000.0
PSI = AlarmsSection(drift_images=100)


@pytest.fixture
def parts(engine: Engine, tmp_path: Path) -> Iterator[Parts]:
    settings = Settings(peers=(Peer("room 1", AETitle("CR1")),), alarms=PSI)
    yield Parts(settings, engine, SqlLedger(engine), FileArchive(tmp_path))


def open_alarms(engine: Engine) -> list[tuple[str, str, int]]:
    return sorted((one.kind, one.words, one.times) for one in take_snapshot(engine, 0.0).alarms)


def test_alarms_rise_once_last_and_close(engine: Engine) -> None:
    set_alarms(engine, "outbox_age", ("pacs waits", "ris waits"), 1.0)
    set_alarms(engine, "outbox_age", ("pacs waits",), 2.0)
    set_alarms(engine, "drift", (), 2.0)
    assert open_alarms(engine) == [("outbox_age", "pacs waits", 1)]
    set_alarms(engine, "outbox_age", (), 3.0)
    assert open_alarms(engine) == []
    set_alarms(engine, "outbox_age", ("pacs waits",), 4.0)
    assert open_alarms(engine) == [("outbox_age", "pacs waits", 2)]  # a second time


def test_an_image_that_waits_too_long(parts: Parts) -> None:
    parts.ledger.record(arrival(1, at=1000.0), ONE_JOB)
    alarms.watch_ages(parts, 1900.0)
    assert open_alarms(parts.engine) == []
    alarms.watch_ages(parts, 1901.0)
    words = "an image waits for longer than 900 s to be read"
    assert open_alarms(parts.engine) == [("queue_age", words, 1)]
    parts.ledger.finish_jobs(claimed(parts.ledger, 1901.0), outcome(1), 1901.0)
    alarms.watch_ages(parts, 1901.0)
    assert open_alarms(parts.engine) == []


def test_work_of_low_priority_may_wait(parts: Parts) -> None:
    parts.ledger.record(arrival(1, at=1000.0), jobs_of("low"))
    alarms.watch_ages(parts, 90_000.0)
    assert open_alarms(parts.engine) == []


def test_a_result_that_waits_too_long(parts: Parts) -> None:
    finished(parts.ledger, 1, now=1000.0, kinds=("sr",))
    alarms.watch_ages(parts, 4601.0)
    words = "pacs: a result waits for longer than 3600 s to be delivered"
    assert open_alarms(parts.engine) == [("outbox_age", words, 1)]


def send(engine: Engine, times: list[float]) -> None:
    ledger = SqlLedger(engine)
    for number, moment in enumerate(times):
        ledger.record(arrival(number + round(moment), at=moment), ONE_JOB)


def test_a_sender_that_falls_silent(parts: Parts) -> None:
    # ten days, 8 to 17 o'clock: its nights are pauses of 15 hours
    worked = [MONDAY + day * DAY_S + hour * HOUR_S for day in range(10) for hour in (8, 13, 17)]
    send(parts.engine, worked)
    habit = alarm_facts.habit_of(parts.engine, "CR1")
    assert habit == Habit(worked[-1], 30, worked[-1] - worked[0], 15 * HOUR_S)
    alarms.watch_habits(parts, worked[-1] + 15 * HOUR_S)  # the next morning
    assert open_alarms(parts.engine) == []
    alarms.watch_habits(parts, worked[-1] + 19 * HOUR_S)
    words = "room 1: has sent no image for longer than it ever pauses"
    assert open_alarms(parts.engine) == [("silent_sender", words, 1)]
    send(parts.engine, [worked[-1] + 19 * HOUR_S])
    alarms.watch_habits(parts, worked[-1] + 19 * HOUR_S)
    assert open_alarms(parts.engine) == []


@pytest.mark.parametrize(
    ("habit", "silent"),
    [
        (Habit(0.0, 100, 7 * DAY_S, 60.0), True),
        (Habit(0.0, 19, 7 * DAY_S, 60.0), False),  # too few images
        (Habit(0.0, 100, 6 * DAY_S, 60.0), False),  # not known for a week
        (Habit(0.0, 100, 7 * DAY_S, 4 * HOUR_S), False),  # it pauses so long
    ],
)
def test_who_has_a_habit(habit: Habit, silent: bool) -> None:
    assert too_silent(habit, 4 * HOUR_S, 4.1 * HOUR_S) is silent


def read(engine: Engine, scores: list[float], since: float, outline: str = "") -> None:
    """Add live results of one model, one image each."""
    finding = '{"code":{"meaning":"Pneumothorax"},"probability":%s,"outline":"' + outline + '"}'
    said = '{"findings":[' + finding + "]}"
    with transaction(engine) as conn:
        (image,) = conn.scalars(select(instances.c.id).limit(1)).all() or (None,)
        assert image is not None
        rows = [
            {
                "instance_id": image + number,
                "pipeline": "pneumothorax",
                "version": "1.0",
                "model_sha256": "ab",
                "findings": said % score,
                "created_at": since + number,
            }
            for number, score in enumerate(scores)
        ]
        conn.execute(results.insert(), rows)


def test_scores_that_drift(parts: Parts) -> None:
    dice = random.Random(1)  # noqa: S311 - no secret
    send(parts.engine, [float(number) for number in range(500, 1000)])
    for since, power in ((1000.0, 4.0), (1200.0, 4.0), (1400.0, 1.5)):
        _clear(parts.engine)
        read(parts.engine, [round(dice.random() ** power, 4) for _ in range(100)], since)
        alarms.watch_habits(parts, since + 150)
        if power == 4.0:
            assert open_alarms(parts.engine) == []
    words = "pneumothorax: scores of Pneumothorax have left the model's reference"
    assert open_alarms(parts.engine) == [("drift", words, 1)]
    (drift,) = take_readings(parts.engine, {}, 0.0).drifts
    assert (drift.pipeline, drift.finding) == ("pneumothorax", "Pneumothorax")
    assert drift.psi > 0.25


def _clear(engine: Engine) -> None:
    with transaction(engine) as conn:
        conn.execute(results.delete())


def test_the_reference_is_taken_once(parts: Parts) -> None:
    send(parts.engine, [float(number) for number in range(500, 700)])
    read(parts.engine, [0.5] * 99, 1000.0)
    alarms.watch_habits(parts, 1150.0)
    with transaction(parts.engine, writing=False) as conn:
        assert conn.execute(select(score_references)).all() == []  # an image too few
    _clear(parts.engine)
    read(parts.engine, [0.1, 0.2] * 50, 1000.0)
    alarms.watch_habits(parts, 1150.0)
    alarms.watch_habits(parts, 1150.0)
    with transaction(parts.engine, writing=False) as conn:
        (row,) = conn.execute(select(score_references)).all()
    assert row.scores == str([0.1] * 50 + [0.2] * 50).replace(" ", "")
    assert row.psi is None  # nothing came after it


def test_looking_for_drift_holds_no_findings_in_memory(parts: Parts) -> None:
    send(parts.engine, [float(number) for number in range(500, 700)])
    read(parts.engine, [0.5] * 200, 1000.0, outline="." * 100_000)
    tracemalloc.start()
    try:
        found = alarm_facts.live_scores(parts.engine, "pneumothorax", 200)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found is not None
    assert found[1] == {"Pneumothorax": [0.5] * 200}
    assert most < 10 << 20  # all are 20 MB


def test_the_index_of_two_samples() -> None:
    dice = random.Random(2)  # noqa: S311 - no secret
    before = [dice.betavariate(1, 8) for _ in range(500)]
    same = [dice.betavariate(1, 8) for _ in range(500)]
    other = [dice.betavariate(2, 4) for _ in range(500)]
    assert population_stability(before, before) == pytest.approx(0)
    assert population_stability(before, same) < 0.1
    assert population_stability(before, other) > 0.25
    assert population_stability([0.0] * 90 + [1.0] * 10, [0.0] * 90 + [1.0] * 10) == 0
    assert population_stability([0.0] * 100, [1.0] * 100) > 1  # all scores in one tenth
