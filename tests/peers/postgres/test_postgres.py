"""What only a server can do: end connections, restart, forget to be durable."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, text

from dicom_node.domain.errors import TryAgain
from dicom_node.storage.database import engine as database
from dicom_node.storage.database.engine import migrate, open_database, transaction
from dicom_node.storage.database.schema import instances
from dicom_node.storage.queue.callers import record_caller
from dicom_node.storage.queue.ledger import SqlLedger
from tests.support.postgres_server import PostgresServer
from tests.support.rows import ONE_JOB, arrival, claimed, column

pytestmark = pytest.mark.postgres


@pytest.fixture
def engine(postgres: PostgresServer) -> Iterator[Engine]:
    engine = open_database(postgres.create("only", template="migrated"))
    yield engine
    engine.dispose()
    postgres.drop("only")


def end_connections(postgres: PostgresServer) -> None:
    postgres.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'dicom-node'"
    )


def test_a_connection_that_died_while_idle_is_replaced(
    postgres: PostgresServer, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "IDLE_S", 0.0)
    ledger = SqlLedger(engine)
    ledger.record(arrival(1), ONE_JOB)
    end_connections(postgres)
    ledger.record(arrival(2), ONE_JOB)
    assert column(engine, instances, "sop_instance_uid") == ["1.2.3.1", "1.2.3.2"]


def test_a_connection_that_dies_in_use_makes_it_try_again(
    postgres: PostgresServer, engine: Engine
) -> None:
    ledger = SqlLedger(engine)
    with pytest.raises(TryAgain, match="database"), transaction(engine) as conn:
        conn.execute(text("INSERT INTO callers VALUES ('A', 'h', 1, 0, 0)"))
        end_connections(postgres)
        conn.execute(text("INSERT INTO callers VALUES ('B', 'h', 1, 0, 0)"))
    record_caller(ledger.engine, "C", "h", 1.0)
    with transaction(engine, writing=False) as conn:
        assert conn.execute(text("SELECT ae FROM callers")).scalars().all() == ["C"]


def test_a_restart_costs_one_attempt_at_most(postgres: PostgresServer, engine: Engine) -> None:
    ledger = SqlLedger(engine)
    ledger.record(arrival(1), ONE_JOB)
    postgres.stop()
    with pytest.raises(TryAgain):
        ledger.record(arrival(2), ONE_JOB)
    with pytest.raises(TryAgain):
        ledger.claim_jobs("w1", 2000.0, 60.0)
    postgres.start()
    assert claimed(ledger).arrival == arrival(1)


def settings(engine: Engine, name: str, *, durable: bool) -> object:
    with transaction(engine, durable=durable) as conn:
        return conn.execute(text(f"SHOW {name}")).scalar()


def test_only_leases_commit_without_the_disk(postgres: PostgresServer, engine: Engine) -> None:
    assert settings(engine, "synchronous_commit", durable=True) == "on"
    for _ in range(10):  # also as a prepared statement
        assert settings(engine, "synchronous_commit", durable=False) == "off"
    assert settings(engine, "synchronous_commit", durable=True) == "on"


def test_a_server_that_is_set_not_to_be_durable_is_overruled(postgres: PostgresServer) -> None:
    url = postgres.create("careless", template="migrated")
    for setting, effective in (("off", "on"), ("remote_write", "remote_write")):
        postgres.execute(f"ALTER DATABASE careless SET synchronous_commit = {setting}")
        engine = open_database(url)
        assert settings(engine, "synchronous_commit", durable=True) == effective
        engine.dispose()
    postgres.drop("careless")


def test_a_reader_sees_one_moment(engine: Engine) -> None:
    ledger = SqlLedger(engine)
    with transaction(engine, writing=False) as conn:
        count = text("SELECT count(*) FROM callers")
        assert conn.execute(count).scalar() == 0
        record_caller(ledger.engine, "A", "h", 1.0)
        assert conn.execute(count).scalar() == 0
    with transaction(engine, writing=False) as conn:
        assert conn.execute(count).scalar() == 1


def test_a_lock_held_too_long_makes_it_try_again(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_S", 1.0)
    impatient = open_database(engine.url.render_as_string(hide_password=False))
    record_caller(engine, "A", "h", 1.0)
    with transaction(engine) as conn:
        conn.execute(text("UPDATE callers SET times = 5"))
        with pytest.raises(TryAgain, match="lock timeout"):
            record_caller(impatient, "A", "h", 2.0)
    impatient.dispose()


def test_plain_urls_mean_psycopg(postgres: PostgresServer, engine: Engine) -> None:
    url = engine.url.render_as_string().replace("postgresql+psycopg://", "postgresql://")
    plain = open_database(url)
    assert migrate(plain) == 0
    plain.dispose()
