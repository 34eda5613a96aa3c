import sqlite3
import stat
import threading
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from dicom_node.domain.errors import BadSettings, GiveUp, TryAgain
from dicom_node.storage.database.engine import migrate, open_database, transaction
from dicom_node.storage.database.schema import callers
from dicom_node.storage.queue.callers import record_caller
from dicom_node.storage.queue.ledger import SqlLedger


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/var/deep/node.db"


def pragma(engine: Engine, name: str, *, durable: bool = True) -> object:
    with transaction(engine, durable=durable) as conn:
        return conn.execute(text(f"PRAGMA {name}")).scalar()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "node.db",
        "mysql://root:secret@host/db",
        "postgresql+asyncpg://user:secret@host/db",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite+aiosqlite:///node.db",
        "postgresql://user:secret@host:notaport/db",
    ],
)
def test_other_urls_are_bad_settings_that_keep_the_password(url: str) -> None:
    with pytest.raises(BadSettings, match=r"database\.url") as caught:
        open_database(url)
    assert "secret" not in str(caught.value)


def test_the_file_is_made_with_its_folder_and_closed_to_others(url: str, tmp_path: Path) -> None:
    engine = open_database(url)
    migrate(engine)
    for path in (tmp_path / "var/deep").iterdir():  # with its write-ahead log
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    engine.dispose()


def test_a_relative_path_starts_at_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    open_database("sqlite:///var/node.db").dispose()
    assert (tmp_path / "var/node.db").is_file()


def test_commits_survive_a_power_loss_unless_told_otherwise(url: str) -> None:
    engine = open_database(url)
    assert pragma(engine, "journal_mode") == "wal"
    assert pragma(engine, "foreign_keys") == 1
    full, normal = 2, 1
    assert pragma(engine, "synchronous") == full
    assert pragma(engine, "synchronous", durable=False) == normal
    assert pragma(engine, "synchronous") == full
    engine.dispose()


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "node.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(BadSettings, match="not an SQLite database"):
        open_database(f"sqlite:///{tmp_path}/node.db")


def test_a_folder_that_cannot_be_made_is_a_passing_fault(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("a file in the way")
    with pytest.raises(TryAgain, match="database file"):
        open_database(f"sqlite:///{tmp_path}/var/node.db")


def test_an_error_in_the_block_undoes_it(url: str) -> None:
    engine = open_database(url)
    migrate(engine)
    ledger = SqlLedger(engine)
    with pytest.raises(ZeroDivisionError), transaction(engine) as conn:
        conn.execute(text("INSERT INTO callers VALUES ('A', 'h', 1, 0, 0)"))
        _ = 1 / 0
    record_caller(ledger.engine, "B", "h", 1.0)  # neither locked nor left open
    with transaction(engine, writing=False) as conn:
        assert conn.execute(text("SELECT ae FROM callers")).scalars().all() == ["B"]
    engine.dispose()


def test_another_writer_makes_it_try_again(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dicom_node.storage.database.engine.BUSY_S", 0.1)
    engine = open_database(url)
    migrate(engine)
    other = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(TryAgain, match="locked"):
        record_caller(engine, "A", "h", 1.0)
    with transaction(engine, writing=False) as conn:  # readers do not wait
        assert conn.execute(text("SELECT count(*) FROM callers")).scalar() == 0
    other.execute("ROLLBACK")
    other.close()
    record_caller(engine, "A", "h", 1.0)
    engine.dispose()


def test_a_writer_of_this_process_makes_it_wait_its_turn(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_database(url)
    migrate(engine)
    monkeypatch.setattr("dicom_node.storage.database.transactions.BUSY_S", 0.1)
    inside, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction(engine):
            inside.set()
            go_on.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    assert inside.wait(10)
    with pytest.raises(TryAgain, match="busy"):
        record_caller(engine, "A", "h", 1.0)
    go_on.set()
    holder.join()
    record_caller(engine, "A", "h", 1.0)
    engine.dispose()


def test_a_full_disk_makes_it_try_again(url: str) -> None:
    engine = open_database(url)
    migrate(engine)
    with transaction(engine) as conn:  # SQLite's own limit stands for the disk's
        pages = conn.execute(text("PRAGMA page_count")).scalar()
        conn.execute(text(f"PRAGMA max_page_count = {pages}"))
    with pytest.raises(TryAgain, match="full"), transaction(engine) as conn:
        for number in range(2000):
            row = {"ae": f"A{number}", "host": "h", "times": 1, "first_at": 0, "last_at": 0}
            conn.execute(callers.insert(), row)
    with transaction(engine, writing=False) as conn:
        assert conn.execute(text("SELECT count(*) FROM callers")).scalar() == 0
    engine.dispose()


def test_an_error_of_ours_is_not_passing(url: str) -> None:
    engine = open_database(url)
    with pytest.raises(GiveUp, match="no such table"):
        record_caller(engine, "A", "h", 1.0)
    engine.dispose()


def test_a_database_that_is_away_makes_it_try_again() -> None:
    engine = open_database("postgresql+psycopg://user:secret@127.0.0.1:1/db")
    with pytest.raises(TryAgain) as caught:
        migrate(engine)
    assert "secret" not in str(caught.value)
