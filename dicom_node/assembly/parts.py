"""Composition root: the parts that every role shares."""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog
from sqlalchemy import Engine

import dicom_node
from dicom_node.assembly.destinations import outgoing
from dicom_node.audit.node import SILENT, Audit
from dicom_node.audit.node import opened as open_audit
from dicom_node.domain.errors import BadSettings, NodeError
from dicom_node.domain.operations.status import StatusSnapshot
from dicom_node.domain.pipeline import Archive, Lending
from dicom_node.flow.deliver import Courier
from dicom_node.flow.receive import CallerPolicy, Reception
from dicom_node.formats.dicom.header import describe_bytes
from dicom_node.network import fhir
from dicom_node.network.dicomweb import scu
from dicom_node.network.dimse import scu as dimse_scu
from dicom_node.network.dimse.association import Target
from dicom_node.network.dimse.options import prepare
from dicom_node.network.hl7 import mllp
from dicom_node.network.hosts import HostBook
from dicom_node.process.logs import log_failure
from dicom_node.settings.settings import Settings
from dicom_node.storage.archive.files import FileArchive
from dicom_node.storage.archive.orphans import SPOOL
from dicom_node.storage.archive.room import Room
from dicom_node.storage.archive.s3 import S3Archive
from dicom_node.storage.archive.sealed import SealedArchive, require_keys
from dicom_node.storage.archive.sealing import load_keys
from dicom_node.storage.database.clock import DatabaseClock
from dicom_node.storage.database.engine import migrate as migrate_database
from dicom_node.storage.database.engine import open_database, require_head
from dicom_node.storage.database.notify import WorkNotifier
from dicom_node.storage.queue.callers import is_approved
from dicom_node.storage.queue.ledger import SqlLedger
from dicom_node.storage.queue.orders import SqlOrderBook
from dicom_node.storage.status.status import take_snapshot

log = structlog.get_logger()

SHARE = Path(dicom_node.__file__).resolve().parents[1]
"""The folder that holds `models/` and `config/` beside the packages."""
POLL_S = 0.05
LEASE_S = 15.0
"""How long dead workers hold what they claimed; the living renew it three times in it."""
LONGEST_PAUSE_S = 5.0
"""Between tries while the database is away."""
MOST_CRASHES = 12
"""A minute of errors that nobody foresaw."""


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
        if isinstance(self.archive, Lending):
            self.archive.close()
        self.engine.dispose()


def open_parts(settings: Settings, *, migrate: bool = False) -> Parts:
    """Open database and archive; with `migrate` bring the schema up to date.

    Also silences the DICOM libraries, whose logs and warnings quote patients.

    Raises BadSettings for a database that is older or newer than the code.
    """
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
    return Parts(settings, engine, ledger, archive, clock, audit)


def open_archive(settings: Settings) -> Archive:
    """Open the archive that the configuration names; raises BadSettings."""
    key_file = settings.archive.key_file
    keys = load_keys(key_file) if key_file else None
    register = archive_folder(settings) / SPOOL / "keys"
    require_keys(register, keys)
    stored = _open_store(settings)
    return stored if keys is None else SealedArchive(stored, keys, register, Room())


def _open_store(settings: Settings) -> Archive:
    bucket = settings.archive.bucket
    if bucket is None:
        folder = archive_folder(settings)
        if settings.archive.url and not folder.is_dir():  # never made: a share may be unmounted
            raise BadSettings(f"archive.url: {folder} is no folder; create or mount it")
        return FileArchive(folder)
    return S3Archive(bucket, archive_folder(settings), int(settings.archive.cache_gb * 1e9))


def reception(parts: Parts) -> Reception:
    """Give what receiving needs, whichever way an image comes."""
    return Reception(
        archive=parts.archive,
        ledger=parts.ledger,
        describe=describe_bytes,
        routes=parts.settings.routes,
        min_free_bytes=int(parts.settings.receive.min_free_gb * 1e9),
        raise_priority=SqlOrderBook(parts.engine).raise_priority
        if parts.settings.orders.port
        else None,
        note=parts.audit.received,
    )


def caller_policy(parts: Parts) -> CallerPolicy:
    """Give what decides about callers, whichever way they come."""
    return CallerPolicy(
        peers=parts.settings.peers,
        unknown_callers=parts.settings.receive.unknown_callers,
        addresses_of=HostBook().addresses_of,
        remember=parts.ledger.record_caller,
        is_approved=partial(is_approved, parts.engine),
        alert=parts.audit.refused,
    )


def archive_folder(settings: Settings) -> Path:
    """Say where instances and results are kept, or copies of those in an S3 store."""
    if settings.archive.bucket is not None:
        return settings.node.data_dir / "cache"
    return settings.archive.folder or settings.node.data_dir / "archive"


def target(settings: Settings, peer_name: str) -> Target:
    """Give the address and identity for sending to a peer."""
    peers = {peer.name: peer for peer in settings.peers}
    peer = peers[peer_name]
    return Target(peer, settings.node.ae_title, tls=outgoing(settings, peer))


def senders(settings: Settings) -> dict[str, Courier]:
    """Make a sender for every destination of the configuration."""
    made: dict[str, Courier] = {
        peer.name: partial(dimse_scu.send, target=target(settings, peer.name))
        for peer in settings.peers
        if peer.host and peer.port
    }
    made |= {one.name: partial(scu.send, to=one) for one in settings.stow}
    made |= {one.name: partial(fhir.send, to=one) for one in settings.fhir}
    return made | {
        one.name: partial(mllp.send, receiver=one, tls=outgoing(settings, one))
        for one in settings.hl7
    }


def worker_name(role: str) -> str:
    """Name this process in leases and logs."""
    return f"{role}@{socket.gethostname()}:{os.getpid()}"


@contextmanager
def opened(settings: Settings) -> Iterator[Engine]:
    """Open the database for one look; it may be away, or not migrated yet."""
    engine = open_database(settings.database.url)
    try:
        yield engine
    finally:
        engine.dispose()


def status_snapshot(settings: Settings) -> StatusSnapshot:
    """Count what is in the database now; raises TryAgain when it is away."""
    with opened(settings) as engine:
        return take_snapshot(engine, DatabaseClock(engine)())


def free_bytes(settings: Settings) -> int:
    """Say how much room the archive's disk has."""
    if settings.archive.bucket is not None:
        return FileArchive(settings.node.data_dir).free_bytes()
    return open_archive(settings).free_bytes()


def loop(
    turn: Callable[[], object],
    stop: threading.Event,
    orphaned: Callable[[], bool],
    bell: WorkNotifier | None = None,
) -> None:
    """Take turns until `stop`; pause when there is nothing to do, or a fault passes.

    `turn` says whether it did anything. With a `bell` the pause ends when it rings.
    Also an error that nobody foresaw, or too little memory, ends no loop at once: the
    destination or queue that it serves would wait. Raises it when it comes
    MOST_CRASHES times in a row: then a new process may fare better.
    """
    pause_s, crashes = POLL_S, 0
    while not stop.is_set() and not orphaned():
        try:
            pause_s = 0.0 if turn() else POLL_S
            crashes = 0
            if pause_s and bell is not None:
                bell.wait(stop, pause_s)
                pause_s = 0.0
        except NodeError as error:
            pause_s = min(LONGEST_PAUSE_S, max(0.5, 2 * pause_s))
            log.error("turn_failed", error=type(error).__name__, reason=str(error), pause_s=pause_s)
        except Exception as error:
            pause_s, crashes = LONGEST_PAUSE_S, crashes + 1
            log_failure("turn_crashed", type(error), error.__traceback__)
            if crashes >= MOST_CRASHES:
                raise
        if pause_s:
            stop.wait(pause_s)
