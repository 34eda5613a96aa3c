"""A database and an archive that belong to each other, and strangers."""

from pathlib import Path

import pytest
from sqlalchemy import Engine, delete

from dicom_node.domain.errors import BadSettings
from dicom_node.domain.work import Admission
from dicom_node.storage.archive.files import FileArchive
from dicom_node.storage.database.schema import archive_identity
from dicom_node.storage.database.transactions import transaction
from dicom_node.storage.queue.identity import bind, require_bound
from dicom_node.storage.queue.ledger import SqlLedger
from tests.support.archives import Opened
from tests.support.rows import arrival


def forget(engine: Engine) -> None:
    with transaction(engine) as conn:
        conn.execute(delete(archive_identity))


def receive(engine: Engine) -> None:
    SqlLedger(engine).record(arrival(1), Admission(not_analysed="own result"))


def test_new_ones_are_bound_once_and_for_all_processes(engine: Engine, opened: Opened) -> None:
    for _ in range(3):
        require_bound(engine, opened(), 1.0)
    assert opened().identity() is not None
    assert list(opened().old_keys(float("inf"))) == []


def test_an_empty_database_does_not_take_a_used_archive(engine: Engine, opened: Opened) -> None:
    require_bound(engine, opened(), 1.0)
    forget(engine)  # as a wrong database.url, or a new server
    with pytest.raises(BadSettings, match="recover --adopt"):
        require_bound(engine, opened(), 2.0)
    bind(engine, opened(), 3.0)
    require_bound(engine, opened(), 4.0)


def test_a_used_database_does_not_take_an_empty_archive(engine: Engine, tmp_path: Path) -> None:
    require_bound(engine, FileArchive(tmp_path / "one"), 1.0)
    receive(engine)
    with pytest.raises(BadSettings, match="empty or another"):
        require_bound(engine, FileArchive(tmp_path / "unmounted"), 2.0)
    bind(engine, FileArchive(tmp_path / "replaced"), 3.0)
    require_bound(engine, FileArchive(tmp_path / "replaced"), 4.0)
    with pytest.raises(BadSettings, match="another database"):
        bind_other = FileArchive(tmp_path / "one")
        require_bound(engine, bind_other, 5.0)


def test_a_database_of_before_takes_its_archive(engine: Engine, tmp_path: Path) -> None:
    receive(engine)
    require_bound(engine, FileArchive(tmp_path), 1.0)
    forget(engine)  # restored from before there were identities
    require_bound(engine, FileArchive(tmp_path), 2.0)
    receive(engine)
    require_bound(engine, FileArchive(tmp_path), 3.0)
