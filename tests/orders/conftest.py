"""An order book over SQLite, then Postgres."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from dicom_node.adapters.database import migrate, open_database
from dicom_node.adapters.orders_book import SqlOrderBook
from tests.postgres_server import PostgresServer, postgres_server


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
    else:
        server = request.getfixturevalue("postgres")
        opened = open_database(server.create(f"orders_{abs(hash(tmp_path))}", "migrated"))
    yield opened
    opened.dispose()


@pytest.fixture
def book(engine: Engine) -> SqlOrderBook:
    return SqlOrderBook(engine)
