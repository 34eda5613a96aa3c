"""Guards every transaction and puts drivers' errors in our words."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import psycopg
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from dicom_node.domain.errors import GiveUp, NodeError, TryAgain
from dicom_node.process import crash_points

BUSY_S = 10.0
"""How long a writer waits for another one before it says TryAgain."""

PASSING_SQLITE = (
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_INTERRUPT,
)
PASSING_SQLSTATES = ("08", "25006", "40", "53", "55P03", "57", "58")
"""Beginnings of SQLSTATE: connection, read-only stand-by, deadlock, resources, system."""


@contextmanager
def transaction(
    engine: Engine, *, writing: bool = True, durable: bool = True
) -> Iterator[Connection]:
    """Run the block as one transaction.

    `durable=False` commits without waiting for the disk: atomic, ordered, safe when
    a process dies, and only a power loss takes it back. That suits a lease, which
    then was never given; nothing that was answered or sent may depend on it alone.

    Raises TryAgain for a passing fault and GiveUp for a lasting one of the
    database; both in words without parameters or rows, which may name a patient.
    """
    lock: threading.Lock | None = engine.get_execution_options().get("write_lock")
    queue = _queue_writers(lock) if lock is not None and writing else nullcontext()
    try:
        with queue, engine.connect() as conn:
            conn = conn.execution_options(writing=writing, durable=durable)
            with conn.begin():
                yield conn
                if writing and durable:
                    crash_points.here("uncommitted")
    except (SQLAlchemyError, sqlite3.Error) as error:
        # `from None`: the cause's text may hold a row (Postgres' DETAIL)
        raise _translate(error) from None


@contextmanager
def _queue_writers(lock: threading.Lock) -> Iterator[None]:
    """Queue the writers of this process, fairer and faster than SQLite's polling."""
    if not lock.acquire(timeout=BUSY_S):
        raise TryAgain("database is busy: another writer did not finish")
    try:
        yield
    finally:
        lock.release()


def _translate(error: SQLAlchemyError | sqlite3.Error) -> NodeError:
    if isinstance(error, PoolTimeout):
        return TryAgain("database: no connection became free")
    fault = error.orig if isinstance(error, DBAPIError) else error
    lost = isinstance(error, DBAPIError) and error.connection_invalidated
    first_line = str(fault).partition("\n")[0]  # the next ones may show a row
    words = f"database: {type(fault).__name__}: {first_line}"
    return TryAgain(words) if lost or _is_passing(fault) else GiveUp(words)


def _is_passing(fault: BaseException | None) -> bool:
    if isinstance(fault, sqlite3.Error):
        code = getattr(fault, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
        return code & 0xFF in PASSING_SQLITE  # the low byte is the primary result code
    if isinstance(fault, psycopg.Error):
        if fault.sqlstate is None:  # the client library could not reach the server
            return isinstance(fault, psycopg.OperationalError | psycopg.InterfaceError)
        return fault.sqlstate.startswith(PASSING_SQLSTATES)
    return False
