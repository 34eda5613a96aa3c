"""Composition root: the parts that every role shares."""

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog
from sqlalchemy import Engine

from dicom_node.assembly.archive import open_archive
from dicom_node.audit.node import SILENT, Audit
from dicom_node.audit.node import open_audit as open_audit
from dicom_node.domain.errors import Away
from dicom_node.domain.operations.status import StatusSnapshot
from dicom_node.domain.pipeline import Archive
from dicom_node.settings.settings import Settings
from dicom_node.storage.database.clock import DatabaseClock
from dicom_node.storage.database.engine import migrate as migrate_database
from dicom_node.storage.database.engine import open_database, require_head
from dicom_node.storage.queue import identity
from dicom_node.storage.queue.ledger import SqlLedger
from dicom_node.storage.status.status import take_snapshot

log = structlog.get_logger()

LEASE_S = 15.0
"""How long dead workers hold what they claimed; the living renew it three times in it."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What every role needs of one process."""

    settings: Settings
    engine: Engine
    ledger: SqlLedger
    archive: Archive
    clock: Callable[[], float] = time.time
    """The time that all hosts of this database share."""
    audit: Audit = SILENT

    def close(self) -> None:
        """Write out the audit trail, and give the database connections back."""
        self.audit.close()
        self.archive.close()
        self.engine.dispose()


def open_parts(settings: Settings, *, migrate: bool = False, adopt: bool = False) -> Parts:
    """Open database and archive; with `migrate` bring the schema up to date.

    They must belong to each other; with `adopt` they do from now on.

    Also silences the DICOM libraries, whose logs and warnings quote patients.

    Raises BadSettings for a database that is older or newer than the code, or that is
    not the archive's.
    """
    from dicom_node.network.dimse.options import prepare  # not needed for a look at the status

    prepare()
    engine = open_database(settings.database.url)
    if migrate:
        migrate_database(engine)
    else:
        require_head(engine)
    archive = open_archive(settings)
    committing = frozenset(peer.name for peer in settings.peers if peer.storage_commitment)
    ledger = SqlLedger(engine, committing)
    clock, audit = DatabaseClock(engine), open_audit(settings)
    try:
        (identity.bind if adopt else identity.require_bound)(engine, archive, clock())
    except Away as error:  # asked again before anything is set aside
        log.warning("archive_not_asked", reason=str(error))
    return Parts(settings, engine, ledger, archive, clock, audit)


def worker_name(role: str) -> str:
    """Name this process in leases and logs."""
    return f"{role}@{socket.gethostname()}:{os.getpid()}"


@contextmanager
def opened_engine(settings: Settings) -> Iterator[Engine]:
    """Open the database for one look; it may be away, or not migrated yet."""
    engine = open_database(settings.database.url)
    try:
        yield engine
    finally:
        engine.dispose()


def status_snapshot(settings: Settings) -> StatusSnapshot:
    """Count what is in the database now; raises TryAgain when it is away.

    Raises BadSettings for a database that was never migrated, or is of another version.
    """
    with opened_engine(settings) as engine:
        require_head(engine)
        return take_snapshot(engine, DatabaseClock(engine)())
