"""One suite over every database: `engine` is SQLite, then Postgres."""

import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from dicom_node.storage.database.engine import migrate, open_database
from dicom_node.storage.queue.ledger import SqlLedger
from dicom_node.storage.status.retention import SqlRetention
from tests.support.postgres_server import PostgresServer, postgres_server

numbers = itertools.count()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A private server with a database `migrated` to copy from."""
    with postgres_server() as server:
        engine = open_database(server.create("migrated"))
        migrate(engine)
        engine.dispose()  # a template with connections cannot be copied
        yield server


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite database to copy from."""
    path = tmp_path_factory.mktemp("sqlite") / "migrated.db"
    engine = open_database(f"sqlite:///{path}")
    migrate(engine)
    engine.dispose()
    return path


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a migrated, empty database."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("migrated_file"), tmp_path / "node.db")
        yield f"sqlite:///{tmp_path}/node.db"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    name = f"test{next(numbers)}"
    yield server.create(name, template="migrated")
    server.drop(name)


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    engine = open_database(url)
    yield engine
    engine.dispose()


@pytest.fixture
def ledger(engine: Engine) -> SqlLedger:
    return SqlLedger(engine)


@pytest.fixture
def retention(engine: Engine) -> SqlRetention:
    return SqlRetention(engine)
