import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine
from structlog.testing import capture_logs

from dicom_node.domain.errors import GiveUp, TryAgain
from dicom_node.domain.study import Instance, InstanceRef
from dicom_node.domain.work import Admission, Arrival, NewJob, Recorded, StoredFile
from dicom_node.flow import tidy
from dicom_node.storage.archive.files import FileArchive
from dicom_node.storage.archive.orphans import ASIDE, ASIDE_S, old_keys, set_aside
from dicom_node.storage.database.engine import migrate, open_database
from dicom_node.storage.database.schema import instances, jobs
from dicom_node.storage.queue.alarms import open_alarm
from dicom_node.storage.queue.ledger import SqlLedger
from dicom_node.storage.status.retention import SqlRetention
from tests.support.rows import ONE_JOB, column, outcome, rows

DAY_S = 86_400.0
NOW = 1_000 * DAY_S
NO_JOB = Admission(not_analysed="own result")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(f"sqlite:///{tmp_path}/node.db")
    migrate(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "archive"


class Node:
    """A database, an archive, and images that arrived `days` ago."""

    def __init__(self, engine: Engine, root: Path) -> None:
        self.ledger, self.retention = SqlLedger(engine), SqlRetention(engine)
        self.archive, self.root = FileArchive(root), root

    def store(self, content: bytes, days: float) -> StoredFile:
        file = self.archive.put([content], "instances", ".dcm")
        os.utime(self.root / file.key, (NOW - days * DAY_S,) * 2)
        return file

    def receive(self, number: int, days: float, admission: Admission) -> StoredFile:
        file = self.store(f"image {number}".encode(), days)
        instance = Instance(InstanceRef("1.2", f"1.2.{number}"), f"1.{number}", "1.3", "1.4")
        arrived = Arrival(instance, file, "CR1", "CXRAI", "host", NOW - days * DAY_S)
        assert self.ledger.record(arrived, admission) is Recorded.NEW
        return file

    def files(self) -> set[str]:
        stored = (path.relative_to(self.root).as_posix() for path in self.root.rglob("*.dcm"))
        return {key for key in stored if not key.startswith(ASIDE)}

    def sweep(self) -> tidy.Sweep:
        before = NOW - tidy.ORPHAN_AGE_S
        return tidy.sweep_orphans(
            self.retention,
            old_keys(self.root, before),
            lambda key: set_aside(self.root, key, before),
        )


@pytest.fixture
def node(engine: Engine, root: Path) -> Node:
    return Node(engine, root)


def test_dead_workers_jobs_are_freed_and_logged(node: Node) -> None:
    node.receive(1, 0, ONE_JOB)
    node.ledger.claim_jobs("w1", NOW, 60.0)
    with capture_logs() as logged:
        assert tidy.rescue_work(node.ledger, NOW + 59) == 0
        assert tidy.rescue_work(node.ledger, NOW + 61) == 1
    assert logged == [{"event": "work_rescued", "rows": 1, "log_level": "warning"}]


def test_old_files_go_and_their_rows_stay(node: Node, engine: Engine) -> None:
    old, young = node.receive(1, 8, NO_JOB), node.receive(2, 6, NO_JOB)
    at_work = node.receive(3, 8, ONE_JOB)
    expired = tidy.expire_instances(node.retention, node.archive, NOW, 7 * DAY_S, 90 * DAY_S)
    assert expired == 1
    assert node.files() == {young.key, at_work.key}
    assert old.key not in node.files()
    assert column(engine, instances, "expired_at") == [NOW, None, None]
    assert tidy.expire_instances(node.retention, node.archive, NOW, 7 * DAY_S, 90 * DAY_S) == 0


def test_more_files_than_one_step_takes(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tidy, "AT_ONCE", 2)
    for number in range(5):
        node.receive(number, 8, NO_JOB)
    assert tidy.expire_instances(node.retention, node.archive, NOW, 7 * DAY_S, 90 * DAY_S) == 5
    assert node.files() == set()
    assert tidy.prune_rows(node.retention, NOW, 7 * DAY_S) == 5


def test_an_interrupted_expiry_is_simply_repeated(node: Node, engine: Engine) -> None:
    node.receive(1, 8, NO_JOB)
    file = node.receive(2, 8, NO_JOB)
    gone = node.root / file.key
    gone.unlink()
    gone.mkdir()  # the file system refuses to remove it
    with pytest.raises(TryAgain):
        tidy.expire_instances(node.retention, node.archive, NOW, 7 * DAY_S, 90 * DAY_S)
    assert column(engine, instances, "expired_at") == [None, None]
    gone.rmdir()
    assert tidy.expire_instances(node.retention, node.archive, NOW, 7 * DAY_S, 90 * DAY_S) == 2


def test_results_go_when_they_are_delivered_and_old(node: Node) -> None:
    node.receive(1, 10, Admission(jobs=(NewJob("pneumothorax", (), "routine"),)))
    claim = node.ledger.claim_jobs("w1", NOW - 9 * DAY_S, 60.0)
    assert claim is not None
    made = outcome(1, kinds=("sr",))
    result = node.store(b"an SR", 9)
    with_file = ((made.objects[0][0], result),)
    sent = type(made)(made.findings, with_file, ())
    node.ledger.finish_jobs(claim, sent, NOW - 9 * DAY_S)
    assert tidy.expire_objects(node.retention, node.archive, NOW, 10 * DAY_S, 10 * DAY_S) == 0
    assert tidy.expire_objects(node.retention, node.archive, NOW, 7 * DAY_S, 90 * DAY_S) == 1
    assert result.key not in node.files()


def test_rows_are_pruned_after_their_files(node: Node, engine: Engine) -> None:
    node.receive(1, 100, NO_JOB)
    node.receive(2, 80, NO_JOB)
    node.receive(3, 100, ONE_JOB)
    open_alarm(node.ledger.engine, "disk", "old", NOW - 91 * DAY_S)
    assert tidy.prune_rows(node.retention, NOW, 90 * DAY_S) == 0
    tidy.expire_instances(node.retention, node.archive, NOW, 7 * DAY_S, 90 * DAY_S)
    assert tidy.prune_rows(node.retention, NOW, 90 * DAY_S) == 1
    assert column(engine, instances, "id") == [2, 3]
    assert len(rows(engine, jobs)) == 1


def test_only_old_files_without_a_row_are_orphans(node: Node) -> None:
    known = node.receive(1, 30, NO_JOB)
    young = node.store(b"just being recorded", 0.5)
    orphan = node.store(b"nobody's", 2)
    assert node.files() == {known.key, young.key, orphan.key}
    with capture_logs() as logged:
        assert node.sweep().set_aside == 1
    assert node.files() == {known.key, young.key}
    assert [entry["event"] for entry in logged] == ["orphans_set_aside"]
    assert node.archive.read(orphan.key) == b"nobody's"  # a row knows it after all
    assert node.files() == {known.key, young.key, orphan.key}


def test_what_was_set_aside_goes_after_a_month(node: Node) -> None:
    orphan = node.store(b"nobody's", 2)
    node.sweep()
    moved_at = (node.root / ASIDE / orphan.key).stat().st_ctime
    assert node.archive.tidy_spool(0, moved_at + ASIDE_S - 60) == 0
    assert node.archive.tidy_spool(0, moved_at + ASIDE_S + 60) == 1
    with pytest.raises(GiveUp):
        node.archive.read(orphan.key)


@pytest.mark.parametrize(
    ("known", "unknown", "stopped"),
    [(0, 20, False), (0, 21, True), (30, 22, True), (250, 22, False)],
)
def test_a_database_that_forgot_films_costs_none(
    node: Node, known: int, unknown: int, stopped: bool
) -> None:
    for number in range(known):
        node.receive(number, 2, NO_JOB)
    forgotten = {node.store(f"forgotten {number}".encode(), 2).key for number in range(unknown)}
    swept = node.sweep()
    assert (swept.is_stopped, swept.unknown) == (stopped, unknown)
    assert (forgotten <= node.files()) == stopped


def test_an_expired_instance_that_was_sent_again_is_an_orphan(node: Node) -> None:
    node.receive(1, 30, NO_JOB)
    tidy.expire_instances(node.retention, node.archive, NOW, 7 * DAY_S, 90 * DAY_S)
    node.store(b"image 1", 2)
    assert node.sweep().set_aside == 1
    assert node.files() == set()


def test_a_file_stored_anew_during_the_sweep_stays(node: Node) -> None:
    orphan = node.store(b"nobody's", 2)
    before = NOW - tidy.ORPHAN_AGE_S

    def delete_after_the_sender_repeats(key: str) -> bool:
        node.store(b"nobody's", 0)
        return set_aside(node.root, key, before)

    swept = tidy.sweep_orphans(
        node.retention, old_keys(node.root, before), delete_after_the_sender_repeats
    )
    assert swept.set_aside == 0
    assert node.files() == {orphan.key}


def test_a_file_that_is_gone_is_no_orphan(node: Node) -> None:
    assert not set_aside(node.root, "instances/00/none.dcm", NOW)
    assert list(old_keys(node.root, NOW)) == []
