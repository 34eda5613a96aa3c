"""A batch of waiting images: the network once, everything else one by one."""

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NoReturn

import numpy as np
from sqlalchemy import Engine
from structlog.testing import capture_logs

from dicom_node.domain.errors import Away
from dicom_node.domain.findings import Algorithm, Findings
from dicom_node.domain.pipeline import Check
from dicom_node.domain.study import InstanceRef, Radiograph
from dicom_node.domain.work import Arrival, Claim, Failure, Outcome
from dicom_node.flow.batch import MOST, work_batch
from dicom_node.flow.infer import Film, InferenceContext, Reading, Worker, work_on
from dicom_node.storage.database.schema import jobs, results
from dicom_node.storage.queue.ledger import SqlLedger
from tests.support.archives import NamedFiles
from tests.support.rows import ONE_JOB, arrival, claimed, column

BAD = "in/" + "0" * 63 + "4"
Call = tuple[str, int]


@dataclass
class Batching:
    """A pipeline that notes when it is asked, and for how many films."""

    calls: list[Call] = field(default_factory=list)
    full: bool = False
    """Whether the device has too little memory for a batch."""
    name: str = "pneumothorax"
    version: str = "1"
    device: str = "none"

    def prefetch(self, radiographs: Sequence[Radiograph]) -> None:
        self.calls.append(("batch", len(radiographs)))
        if self.full:
            raise MemoryError

    def read(self, radiograph: Radiograph) -> Findings:
        self.calls.append((radiograph.ref.sop_instance_uid.split(".")[-1], 1))
        return Findings(Algorithm(self.name, self.version, "ab" * 32))

    def verify(self) -> tuple[Check, ...]:
        return ()


def never(*_: object) -> NoReturn:
    raise AssertionError("asked for nothing")


def small(number: int) -> Arrival:
    """An arrival that a reader may decode."""
    one = arrival(number)
    return replace(one, instance=replace(one.instance, rows=300, columns=300))


class AwayOnce(NamedFiles):
    """An archive that cannot be reached when the first path is asked for."""

    away = True

    def opened(self, key: str) -> AbstractContextManager[Path]:
        if self.away:
            self.away = False
            raise Away("archive: not mounted")
        return super().opened(key)


def work(
    ledger: SqlLedger,
    folder: Path,
    pipeline: Batching,
    archive_of: Callable[[Path], NamedFiles] = NamedFiles,
) -> bool:
    def decode(path: Path) -> Film:
        if str(path).endswith(BAD):
            return "header", "damaged"
        uid = f"1.2.3.{int(path.name, 16)}"
        return "header", Radiograph(np.zeros((300, 300), np.float32), InstanceRef("1.2", uid))

    def report(claim: Claim, reading: Reading, now: float) -> Outcome:
        return Outcome(reading.findings, (), ())

    for number in range(1, 40):
        path = folder / arrival(number).file.key
        path.parent.mkdir(exist_ok=True)
        path.touch()
    reader = InferenceContext(lambda path: "header", decode, {"pneumothorax": pipeline})
    archive = archive_of(folder)
    clock = iter(range(3000, 9000)).__next__
    return work_batch(Worker("w", ledger, archive, reader, report, clock, 60.0), wait_s=0.01)


def test_waiting_images_share_a_run(ledger: SqlLedger, engine: Engine, tmp_path: Path) -> None:
    for number in range(1, 6):
        ledger.record(small(number), ONE_JOB)
    pipeline = Batching()
    assert work(ledger, tmp_path, pipeline)
    assert pipeline.calls[0] == ("batch", 4)  # the fourth image is damaged
    assert sorted(pipeline.calls[1:]) == [("1", 1), ("2", 1), ("3", 1), ("5", 1)]
    assert column(engine, jobs, "state") == ["completed"] * 5
    said = [json.loads(str(one))["not_analysed"] for one in column(engine, results, "findings")]
    assert sorted(said, key=str) == [None] * 4 + ["damaged"]
    assert not work(ledger, tmp_path, pipeline)


def test_a_batch_has_a_limit_and_one_image_is_none(ledger: SqlLedger, tmp_path: Path) -> None:
    for number in range(10, 11 + MOST):
        ledger.record(small(number), ONE_JOB)
    pipeline = Batching()
    work(ledger, tmp_path, pipeline)
    assert pipeline.calls[0] == ("batch", MOST)
    pipeline.calls.clear()
    work(ledger, tmp_path, pipeline)
    assert [name for name, _ in pipeline.calls].count("batch") == 0
    assert len(pipeline.calls) == 1


def test_what_was_tried_before_is_read_before_the_batch_and_alone(
    ledger: SqlLedger, tmp_path: Path
) -> None:
    ledger.record(small(1), ONE_JOB)
    ledger.fail_jobs(claimed(ledger, 2000.0), Failure(2001.0, "it died"), 2000.0)
    for number in (2, 3):
        ledger.record(small(number), ONE_JOB)
    pipeline = Batching()
    while work(ledger, tmp_path, pipeline):
        pass
    assert [call for call in pipeline.calls if call[0] == "batch"] in ([], [("batch", 2)])
    before = pipeline.calls[: pipeline.calls.index(("1", 1))]
    assert before == [] or len(before) == 3  # never between the batch and its images
    assert sorted(name for name, _ in pipeline.calls if name != "batch") == ["1", "2", "3"]


def test_a_batch_that_fails_is_read_one_by_one(
    ledger: SqlLedger, engine: Engine, tmp_path: Path
) -> None:
    for number in (1, 2):
        ledger.record(small(number), ONE_JOB)
    pipeline = Batching(full=True)
    assert work(ledger, tmp_path, pipeline)
    assert pipeline.calls[0] == ("batch", 2)
    assert len(pipeline.calls) == 3
    assert column(engine, jobs, "state") == ["completed"] * 2


def test_an_archive_that_was_away_for_a_moment_costs_no_job(
    ledger: SqlLedger, engine: Engine, tmp_path: Path
) -> None:
    for number in (1, 2):
        ledger.record(small(number), ONE_JOB)
    assert work(ledger, tmp_path, Batching(), AwayOnce)
    assert column(engine, jobs, "state") == ["completed"] * 2


def test_one_image_is_read_without_company(
    ledger: SqlLedger, engine: Engine, tmp_path: Path
) -> None:
    assert not work(ledger, tmp_path, Batching())
    ledger.record(small(1), ONE_JOB)
    assert work(ledger, tmp_path, Batching())
    assert column(engine, jobs, "state") == ["completed"]


def test_failing_work_that_passed_to_another_worker_is_left_to_it(
    ledger: SqlLedger, engine: Engine, tmp_path: Path
) -> None:
    ledger.record(small(1), ONE_JOB)
    claim, pipeline = claimed(ledger, 2000.0), Batching()
    assert ledger.rescue(9000.0) == 1
    reader = InferenceContext(Path.read_bytes, never, {"pneumothorax": pipeline})
    archive = NamedFiles(tmp_path)  # it lacks the file
    with capture_logs() as events:
        work_on(claim, Worker("w", ledger, archive, reader, never, lambda: 2000.0, 60.0))
    assert [event["event"] for event in events] == ["jobs_claimed", "jobs_lease_lost"]
    assert column(engine, jobs, "state") == ["available"]
