from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, Float, Integer, Numeric, inspect, text
from sqlalchemy.types import BigInteger, Boolean, TypeEngine

from dicom_node.domain.errors import BadSettings, GiveUp
from dicom_node.storage.database.engine import (
    migrate,
    open_database,
    require_head,
    schema_version_of,
)
from dicom_node.storage.database.migrations.runner import HEAD, MIGRATIONS
from dicom_node.storage.database.schema import metadata
from dicom_node.storage.database.transactions import transaction
from dicom_node.storage.queue.callers import record_caller
from dicom_node.storage.queue.ledger import SqlLedger
from tests.support.rows import ONE_JOB, arrival, column, finished

NEXT = ("ALTER TABLE callers ADD COLUMN approved_at DOUBLE PRECISION",)
BROKEN = ("ALTER TABLE callers ADD COLUMN half DOUBLE PRECISION", "ALTER TABLE nowhere ADD x TEXT")


def wipe(engine: Engine) -> None:
    leaves_last = ["instances", "jobs", "results", "objects", "deliveries"]
    with transaction(engine) as conn:
        for table in (*(set(metadata.tables) - set(leaves_last)), *reversed(leaves_last)):
            conn.execute(text(f"DROP TABLE {table}"))


@pytest.fixture
def empty(engine: Engine) -> Engine:
    wipe(engine)
    return engine


def test_an_empty_database_comes_to_the_head(empty: Engine) -> None:
    assert schema_version_of(empty) == 0
    with pytest.raises(BadSettings, match="run dicom-node migrate"):
        require_head(empty)
    assert migrate(empty) == HEAD
    assert schema_version_of(empty) == HEAD
    require_head(empty)
    finished(SqlLedger(empty))


def test_at_the_head_nothing_happens(engine: Engine) -> None:
    SqlLedger(engine).record(arrival(1), ONE_JOB)
    assert migrate(engine) == 0
    assert column(engine, metadata.tables["instances"], "sop_instance_uid") == ["1.2.3.1"]


def test_one_version_more_keeps_the_rows(engine: Engine) -> None:
    record_caller(engine, "A", "h", 1.0)
    assert migrate(engine, (*MIGRATIONS, NEXT)) == 1
    with transaction(engine) as conn:
        assert conn.execute(text("SELECT ae, approved_at FROM callers")).all() == [("A", None)]


def test_a_newer_database_is_refused(engine: Engine) -> None:
    migrate(engine, (*MIGRATIONS, NEXT))
    for refuse in (migrate, require_head):
        with pytest.raises(BadSettings, match=r"database\.url.*newer software"):
            refuse(engine)
    assert schema_version_of(engine) == HEAD + 1


def test_a_migration_that_fails_leaves_the_version_before(engine: Engine) -> None:
    with pytest.raises(GiveUp):
        migrate(engine, (*MIGRATIONS, BROKEN))
    assert schema_version_of(engine) == HEAD
    assert "half" not in {one["name"] for one in inspect(engine).get_columns("callers")}
    assert migrate(engine, (*MIGRATIONS, NEXT)) == 1


def test_two_migrating_together_do_it_once(empty: Engine) -> None:
    others = [open_database(empty.url.render_as_string(hide_password=False)) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        steps = list(pool.map(migrate, others))
    assert sum(steps) == HEAD  # each step by one of them
    for other in others:
        other.dispose()


def kind(type_: TypeEngine[object]) -> str:
    for name, class_ in (("flag", Boolean), ("time", (Float, Numeric)), ("number", Integer)):
        if isinstance(type_, class_):
            return name
    return "number" if isinstance(type_, BigInteger) else "text"


def test_the_tables_that_queries_use_are_those_that_migrations_make(engine: Engine) -> None:
    real = inspect(engine)
    assert set(real.get_table_names()) - {"sqlite_sequence"} == set(metadata.tables)
    for name, table in metadata.tables.items():
        made = {one["name"]: one for one in real.get_columns(name)}
        assert set(made) == set(table.c.keys()), name
        for one in table.c:
            assert kind(made[one.name]["type"]) == kind(one.type), f"{name}.{one.name}"
            if not one.primary_key:
                assert made[one.name]["nullable"] == one.nullable, f"{name}.{one.name}"
