"""An order book over SQLite, then Postgres."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from dicom_node.storage.database.engine import migrate, open_database
from dicom_node.storage.queue.orders import SqlOrderBook
from tests.postgres_server import PostgresServer, postgres_server

numbers = itertools.count()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        engine = open_database(server.create("migrated"))
        migrate(engine)
        engine.dispose()  # a template with connections cannot be copied
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """A migrated database."""
    if request.param == "sqlite":
        opened = open_database(f"sqlite:///{tmp_path}/node.db")
        migrate(opened)
        yield opened
        opened.dispose()
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    name = f"orders{next(numbers)}"
    opened = open_database(server.create(name, template="migrated"))
    yield opened
    opened.dispose()
    server.drop(name)


@pytest.fixture
def book(engine: Engine) -> SqlOrderBook:
    return SqlOrderBook(engine)
