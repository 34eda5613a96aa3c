"""Opens the database, SQLite or Postgres.

SQLite (embedded default) and Postgres, through SQLAlchemy Core. Each process calls
`open_database` itself: connections do not survive a fork.
"""

import math
import os
import sqlite3
import threading
import time
from pathlib import Path

import psycopg
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from dicom_node.domain.errors import BadSettings, TryAgain
from dicom_node.storage.database.migrations.runner import migrate, require_head, schema_version_of
from dicom_node.storage.database.transactions import BUSY_S, transaction

__all__ = ["migrate", "open_database", "require_head", "schema_version_of", "transaction"]

CONNECT_S = 5
STATEMENT_S = 30
IDLE_S = 1.0
"""A Postgres connection that rested longer is tried before use."""

SQLITE_NAMES = ("sqlite", "sqlite+pysqlite")
POSTGRES_NAMES = ("postgresql+psycopg", "postgresql", "postgres")


def open_database(url: str) -> Engine:
    """Open the database that `url` names; an SQLite file is created.

    Forms: `sqlite:///relative/path`, `sqlite:////absolute/path`,
    `postgresql+psycopg://user@host/database`. Raises BadSettings for others and
    TryAgain when the SQLite file cannot be made now. Postgres is not yet spoken to.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # ValueError: the port is no number
        raise BadSettings("database.url cannot be read; example: sqlite:///var/node.db") from None
    if "@" in (parsed.host or ""):  # it would stand in messages as a part of the host
        raise BadSettings("database.url: write an @ of the password as %40")
    if parsed.drivername in SQLITE_NAMES:
        return _open_sqlite(parsed)
    if parsed.drivername in POSTGRES_NAMES:
        return _open_postgres(parsed.set(drivername="postgresql+psycopg"))
    raise BadSettings(
        f"database.url begins with {parsed.drivername!r}; "
        "use sqlite:///PATH or postgresql+psycopg://USER@HOST/DATABASE"
    )


def _open_sqlite(url: URL) -> Engine:
    if url.database in (None, "", ":memory:"):
        raise BadSettings("database.url must name a file: several processes share it")
    path = Path(str(url.database))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():  # to close it would end the locks of this process's connections
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # it names patients
    except OSError as error:
        raise TryAgain(f"database file {path}: {error.strerror}") from error
    _set_wal(path)
    engine = create_engine(
        url,
        hide_parameters=True,
        pool_size=4,
        max_overflow=60,
        connect_args={"timeout": BUSY_S},
        execution_options={"write_lock": threading.Lock()},
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def empty_journal(engine: Engine) -> bool:
    """Drop what SQLite's journal yet holds of deleted rows; False while it is in use.

    Postgres overwrites and recycles its own by autovacuum and checkpoints.
    """
    if engine.dialect.name != "sqlite":
        return True
    pooled = engine.raw_connection()
    try:
        cursor = pooled.cursor()
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        answer = cursor.fetchone()
        cursor.close()
    except sqlite3.OperationalError:
        return False
    finally:
        pooled.close()
    return answer is not None and not answer[0]


def _set_wal(path: Path) -> None:
    """Switch the file to WAL, once; the switch itself ignores the busy timeout."""
    give_up_at = time.monotonic() + BUSY_S
    while True:
        connection = sqlite3.connect(path, timeout=BUSY_S)
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchone()
            return
        except sqlite3.OperationalError as error:
            if time.monotonic() > give_up_at:
                raise TryAgain(f"database file {path}: {error}") from error
            time.sleep(0.02)
        except sqlite3.DatabaseError as error:
            raise BadSettings(f"database.url: {path} is not an SQLite database") from error
        finally:
            connection.close()


def _prepare_sqlite(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # the driver's own BEGIN would come too late
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA journal_size_limit = 67108864")
    cursor.execute("PRAGMA secure_delete = ON")  # a deleted row's bytes are overwritten
    cursor.close()


def _begin_sqlite(conn: Connection) -> None:
    """Begin in the driver itself: through SQLAlchemy it takes a seventh of a claim."""
    options, driver = conn.get_execution_options(), conn.connection.cursor()
    level = "FULL" if options.get("durable", True) else "NORMAL"  # FULL: fsync at each commit
    if conn.info.get("synchronous") != level:
        driver.execute(f"PRAGMA synchronous = {level}")
        conn.info["synchronous"] = level
    # A deferred BEGIN that reads and then writes fails at once when another wrote between.
    driver.execute("BEGIN IMMEDIATE" if options.get("writing", True) else "BEGIN")


def _open_postgres(url: URL) -> Engine:
    engine = create_engine(
        url,
        hide_parameters=True,
        pool_size=8,
        max_overflow=8,
        pool_timeout=BUSY_S,
        connect_args={
            "connect_timeout": CONNECT_S,
            "application_name": "dicom-node",
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
            "tcp_user_timeout": STATEMENT_S * 1000,
        },
    )
    event.listen(engine, "connect", _prepare_postgres)
    event.listen(engine, "checkin", _note_use)
    event.listen(engine, "checkout", _try_idle)
    event.listen(engine, "begin", _begin_postgres)
    return engine


def _prepare_postgres(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    connection.autocommit = True  # `_begin_postgres` begins, in one message with its settings
    cursor = connection.cursor()
    cursor.execute(f"SET lock_timeout = '{int(BUSY_S)}s'")
    cursor.execute(f"SET statement_timeout = '{STATEMENT_S}s'")
    cursor.execute("SET idle_in_transaction_session_timeout = '60s'")
    # "off" would acknowledge commits that a power loss takes back
    cursor.execute(
        "SELECT set_config('synchronous_commit', 'on', false)"
        " WHERE current_setting('synchronous_commit') = 'off'"
    )
    cursor.close()


def _begin_postgres(conn: Connection) -> None:
    options = conn.get_execution_options()
    begin = "BEGIN"
    if not options.get("writing", True):
        begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
    elif not options.get("durable", True):
        begin = "BEGIN; SET LOCAL synchronous_commit = off"
    conn.exec_driver_sql(begin, execution_options={"no_parameters": True})


def _note_use(_connection: DBAPIConnection | None, entry: ConnectionPoolEntry) -> None:
    entry.info["used_at"] = time.monotonic()


def _try_idle(
    connection: DBAPIConnection, entry: ConnectionPoolEntry, _proxy: PoolProxiedConnection
) -> None:
    """Replace a connection that died while idle, without asking before every use."""
    if time.monotonic() - entry.info.get("used_at", math.inf) < IDLE_S:
        return
    try:
        connection.cursor().execute("")
    except psycopg.Error as error:
        raise DisconnectionError from error
