"""Looking must stay cheap however many finished rows there are."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, Executable, Select, Table
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql import ClauseElement

from dicom_node.domain.work import State
from dicom_node.storage.database.engine import migrate, open_database, transaction
from dicom_node.storage.database.schema import deliveries, jobs
from dicom_node.storage.status import counters
from dicom_node.storage.status.readings import counting


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(f"sqlite:///{tmp_path}/node.db")
    migrate(engine)
    yield engine
    engine.dispose()


def plan(engine: Engine, statement: Executable) -> str:
    assert isinstance(statement, ClauseElement)
    sql = str(statement.compile(dialect=sqlite.dialect()))
    with transaction(engine, writing=False) as conn:
        steps = conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", (1,) * sql.count("?")).all()
    return "; ".join(step.detail for step in steps)


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        (counters._UNRECEIVED, "instances_unreceived"),
        (counters._UNSETTLED, "instances_unsettled"),
        (counters._ENDED_JOBS, "jobs_uncounted"),
        (counters._ENDED_DELIVERIES, "deliveries_uncounted"),
    ],
)
def test_what_is_not_counted_is_found_by_its_index(
    engine: Engine, statement: Select[int], index: str
) -> None:
    words = plan(engine, counters.first(statement))
    assert index in words
    assert "TEMP B-TREE" not in words


@pytest.mark.parametrize("table", [jobs, deliveries], ids=lambda table: table.name)
@pytest.mark.parametrize("state", [State.AVAILABLE, State.EXECUTING, State.DISCARDED])
def test_backlogs_are_counted_in_their_indexes(engine: Engine, table: Table, state: State) -> None:
    ends = {State.AVAILABLE: "waiting", State.EXECUTING: "leased", State.DISCARDED: "dead"}
    assert f"{table.name}_{ends[state]}" in plan(engine, counting(table, state))
