"""Looking must stay cheap however many finished rows there are."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, Executable, Select, Table
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql import ClauseElement

from dicom_node.adapters import metrics_tally
from dicom_node.adapters.database import migrate, open_database, transaction
from dicom_node.adapters.metrics_readings import counting
from dicom_node.adapters.schema import deliveries, jobs
from dicom_node.domain.work import State


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
        (metrics_tally._UNRECEIVED, "instances_unreceived"),
        (metrics_tally._UNSETTLED, "instances_unsettled"),
        (metrics_tally._ENDED_JOBS, "jobs_uncounted"),
        (metrics_tally._ENDED_DELIVERIES, "deliveries_uncounted"),
    ],
)
def test_what_is_not_counted_is_found_by_its_index(
    engine: Engine, statement: Select[int], index: str
) -> None:
    words = plan(engine, metrics_tally.first(statement))
    assert index in words
    assert "TEMP B-TREE" not in words


@pytest.mark.parametrize("table", [jobs, deliveries], ids=lambda table: table.name)
@pytest.mark.parametrize("state", [State.AVAILABLE, State.EXECUTING, State.DISCARDED])
def test_backlogs_are_counted_in_their_indexes(engine: Engine, table: Table, state: State) -> None:
    ends = {State.AVAILABLE: "waiting", State.EXECUTING: "leased", State.DISCARDED: "dead"}
    assert f"{table.name}_{ends[state]}" in plan(engine, counting(table, state))
