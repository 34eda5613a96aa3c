"""A receiving node on loopback: real SCP, archive and SQLite ledger."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, select

from dicom_node.domain.admission import Route
from dicom_node.domain.pipeline import Archive, Ledger
from dicom_node.domain.reception import UnknownCallers
from dicom_node.domain.study import Peer
from dicom_node.flow.callers import CallerPolicy, admit_caller
from dicom_node.flow.receive import Reception, receive
from dicom_node.formats.dicom.header import describe_file
from dicom_node.network.dimse.acceptor import AcceptedAssociation
from dicom_node.network.dimse.options import Timeouts
from dicom_node.network.dimse.scp import Service, StorageSCP
from dicom_node.network.hosts import HostBook
from dicom_node.network.tls.sockets import Secure
from dicom_node.storage.archive.files import FileArchive
from dicom_node.storage.database.engine import migrate, open_database
from dicom_node.storage.database.schema import alarms, callers, instances, jobs
from dicom_node.storage.queue.callers import is_approved, record_caller
from dicom_node.storage.queue.ledger import SqlLedger

XRAY = Peer("xray", "XRAY1", "127.0.0.1")


@dataclass(frozen=True)
class Setup:
    """What a test may want otherwise."""

    peers: tuple[Peer, ...] = (XRAY,)
    unknown_callers: UnknownCallers = "reject"
    routes: tuple[Route, ...] = (Route("chest"),)
    min_free_bytes: int = 0
    max_associations: int = 64
    max_per_caller: int = 64
    max_object: int = 1 << 30
    max_held: int = 1 << 32
    max_pdu: int = 131072
    timeouts: Timeouts = field(default_factory=Timeouts)
    archive: Archive | None = None
    ledger: Ledger | None = None
    secure: Secure | None = None
    known: frozenset[str] | None = None
    """Addresses whose places are reserved; None: no address is preferred."""


@dataclass(frozen=True)
class Receiver:
    """A running receiver and what it wrote."""

    scp: StorageSCP
    engine: Engine
    root: Path

    @property
    def port(self) -> int:
        return self.scp.port

    def connections(self) -> list[AcceptedAssociation]:
        """The associations whose threads run."""
        server = self.scp._server
        return [] if server is None else server.connections

    def rows(self, name: str = "instances") -> list[Any]:
        table = {"instances": instances, "jobs": jobs, "alarms": alarms, "callers": callers}[name]
        with self.engine.connect() as conn:
            return list(conn.execute(select(table)))

    def outcomes(self) -> list[str]:
        """Per instance the reason against an analysis, or the pipelines that will read it."""
        by_instance: dict[int, list[str]] = {}
        for job in self.rows("jobs"):
            by_instance.setdefault(job.instance_id, []).append(job.pipeline)
        return [row.outcome or ",".join(by_instance[row.id]) for row in self.rows()]

    def files(self) -> list[Path]:
        return sorted((self.root / "archive").rglob("*.dcm"))

    def leftovers(self) -> list[Path]:
        return list((self.root / "archive").rglob("*.part"))


@contextmanager
def receiver(root: Path, setup: Setup | None = None) -> Iterator[Receiver]:
    """Run a receiver in `root` on an ephemeral port."""
    setup = setup or Setup()
    engine = open_database(f"sqlite:///{root}/node.db")
    migrate(engine)
    ledger = SqlLedger(engine)
    reception = Reception(
        setup.archive or FileArchive(root / "archive"),
        setup.ledger or ledger,
        describe_file,
        setup.routes,
        setup.min_free_bytes,
    )
    caller_policy = CallerPolicy(
        setup.peers,
        setup.unknown_callers,
        HostBook().addresses_of,
        partial(record_caller, engine),
        partial(is_approved, engine),
    )
    service = Service(
        ae_title="CXRAI",
        admit_caller=lambda caller: admit_caller(caller, caller_policy, time.time()),
        store=lambda request: receive(request, reception, time.time()),
        spool=reception.archive.spool,
        max_associations=setup.max_associations,
        max_per_caller=setup.max_per_caller,
        max_object=setup.max_object,
        max_held=setup.max_held,
        max_pdu=setup.max_pdu,
        timeouts=setup.timeouts,
        is_known=lambda host: setup.known is None or host in setup.known,
    )
    scp = StorageSCP("127.0.0.1", 0, service, setup.secure)
    scp.start()
    try:
        yield Receiver(scp, engine, root)
    finally:
        scp.stop(drain_s=0)
        engine.dispose()
