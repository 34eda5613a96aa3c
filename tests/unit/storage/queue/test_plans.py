"""Idle polling must stay cheap however many finished rows there are."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, Executable, text
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql import ClauseElement

from dicom_node.storage.database.engine import migrate, open_database, transaction
from dicom_node.storage.queue import deliveries, jobs


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(f"sqlite:///{tmp_path}/node.db")
    migrate(engine)
    yield engine
    engine.dispose()


def plan(engine: Engine, statement: Executable) -> list[str]:
    assert isinstance(statement, ClauseElement)
    sql = str(statement.compile(dialect=sqlite.dialect()))
    with transaction(engine, writing=False) as conn:
        steps = conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", (1,) * sql.count("?")).all()
    return [step.detail for step in steps]


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        (jobs.TURN, "jobs_waiting"),
        (deliveries.TURN, "deliveries_waiting"),
        (deliveries.TURN_OF, "deliveries_waiting"),
        (deliveries.FELLOWS, "deliveries_batch"),
    ],
)
def test_waiting_work_is_found_by_its_index(
    statement: Executable, index: str, engine: Engine
) -> None:
    steps = plan(engine, statement)
    assert f"USING INDEX {index}" in steps[0]
    if index.endswith("waiting"):
        assert not any("TEMP B-TREE" in step for step in steps)  # already in order


def test_finished_rows_are_not_in_the_index(engine: Engine) -> None:
    asking = "SELECT sql FROM sqlite_master WHERE name IN ('jobs_waiting', 'deliveries_waiting')"
    with transaction(engine, writing=False) as conn:
        found = conn.execute(text(asking)).scalars().all()
    assert ["WHERE state = 'available'" in sql for sql in found] == [True, True]
