"""Composition root: builds the parts and starts roles."""

import importlib
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog
from sqlalchemy import Engine

import dicom_node
from dicom_node.adapters import dimse_scu, mllp, pixels
from dicom_node.adapters.archive import FileArchive
from dicom_node.adapters.census import take_census
from dicom_node.adapters.database import migrate as migrate_database
from dicom_node.adapters.database import open_database, require_head
from dicom_node.adapters.dimse_line import Target
from dicom_node.adapters.header import read_header
from dicom_node.adapters.queue import SqlLedger
from dicom_node.domain.admission import Route
from dicom_node.domain.census import Census
from dicom_node.domain.errors import BadSettings, NodeError
from dicom_node.domain.ports import Pipeline
from dicom_node.domain.work import Claim, ObjectKind, Outcome, ReportObject
from dicom_node.flow.deliver import Courier
from dicom_node.flow.infer import Reader, Reading
from dicom_node.flow.notify import notified
from dicom_node.flow.report import report
from dicom_node.reports import oru
from dicom_node.reports.common import ReportContext
from dicom_node.reports.registry import BUILDERS, warm_up
from dicom_node.settings import Settings, worker_threads

log = structlog.get_logger()

SHARE = Path(dicom_node.__file__).resolve().parents[1]
"""The folder that holds `models/` and `config/` beside the packages."""
POLL_S = 0.05
LEASE_S = 15.0
"""How long dead workers hold what they claimed; the living renew it three times in it."""
LONGEST_PAUSE_S = 5.0
"""Between tries while the database is away."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What every role needs of one process."""

    settings: Settings
    engine: Engine
    ledger: SqlLedger
    archive: FileArchive

    def close(self) -> None:
        """Give the database connections back."""
        self.engine.dispose()


def open_parts(settings: Settings, *, migrate: bool = False) -> Parts:
    """Open database and archive; with `migrate` bring the schema up to date.

    Raises BadSettings for a database that is older or newer than the code.
    """
    engine = open_database(settings.database.url)
    if migrate:
        migrate_database(engine)
    else:
        require_head(engine)
    archive = FileArchive(archive_folder(settings))
    return Parts(settings, engine, SqlLedger(engine), archive)


def archive_folder(settings: Settings) -> Path:
    """Say where instances and results are kept."""
    return settings.node.data_dir / "archive"


def load_pipelines(settings: Settings) -> dict[str, Pipeline]:
    """Load every pipeline that a route names, by its dotted path.

    Raises BadSettings when a module, its weights or their digest is wrong.
    """
    wanted = dict.fromkeys(name for route in settings.routes for name in route.pipelines)
    return {name: load_pipeline(settings, name) for name in wanted or settings.pipelines}


def load_pipeline(settings: Settings, name: str) -> Pipeline:
    """Load one pipeline; raises BadSettings."""
    if name not in settings.pipelines:
        known = ", ".join(settings.pipelines)
        raise BadSettings(f"no pipeline {name!r}; known are: {known}")
    dotted = settings.pipelines[name]
    try:
        module = importlib.import_module(dotted)
    except ModuleNotFoundError as error:
        raise BadSettings(
            f"pipelines.{name} = {dotted!r}: {error}; install 'dicom-node[cpu]' or [gpu]"
        ) from None
    models = settings.node.models_dir or SHARE / "models"
    pipeline: Pipeline = module.load(models, settings.inference.device, worker_threads(settings))
    return pipeline


def target(settings: Settings, peer_name: str) -> Target:
    """Give the address and identity for sending to a peer."""
    peers = {peer.name: peer for peer in settings.peers}
    return Target(peers[peer_name], settings.node.ae_title)


def couriers(settings: Settings) -> dict[str, Courier]:
    """Make a courier for every destination of the configuration."""
    made: dict[str, Courier] = {
        peer.name: partial(dimse_scu.send, target=target(settings, peer.name))
        for peer in settings.peers
        if peer.host and peer.port
    }
    return made | {one.name: partial(mllp.send, receiver=one) for one in settings.hl7}


def worker_name(role: str) -> str:
    """Name this process in leases and logs."""
    return f"{role}@{socket.gethostname()}:{os.getpid()}"


def reader(settings: Settings) -> Reader:
    """Make what reading needs: decoders and loaded pipelines; raises BadSettings."""
    return Reader(read_header, pixels.read_radiograph, load_pipelines(settings))


def writer(settings: Settings, archive: FileArchive) -> Callable[[Claim, Reading, float], Outcome]:
    """Make what reporting needs: builders by kind and destination."""
    receivers = {one.name: one for one in settings.hl7}
    peers = {peer.name: peer for peer in settings.peers}
    routes = {route.name: route for route in settings.routes}

    def build(
        kind: ObjectKind, route: Route, destination: str, reading: Reading, now: float
    ) -> ReportObject | None:
        shown = (reading.source, reading.radiograph, reading.findings)
        if kind == "oru":
            to = receivers[destination]
            who = (settings.node.ae_title, settings.node.institution)
            return oru.build(*shown, oru.HL7Context(now, to, *who))
        context = ReportContext(
            made_at=now,
            node_version=dicom_node.__version__,
            ae_title=settings.node.ae_title,
            institution=settings.node.institution,
            sr_class=peers[destination].sr_class,
            references_seg="seg" in route.outputs,
        )
        return BUILDERS[kind](*shown, context)

    def write(claim: Claim, reading: Reading, now: float) -> Outcome:
        who = partial(notified, receivers=receivers)
        return report(claim, reading, routes, build, who, archive, now)

    return write


def prove(reader: Reader) -> None:
    """Warm everything up and let each pipeline read its phantoms.

    Raises BadSettings for a model that no longer says what it said at release:
    such a model must not serve.
    """
    warm_up()
    for pipeline in reader.pipelines.values():
        for check in pipeline.verify():
            if not check.ok:
                raise BadSettings(f"{check.name}: {check.words}; the model has drifted")
        log.info(
            "model_ready", pipeline=pipeline.name, version=pipeline.version, device=pipeline.device
        )


def census(settings: Settings) -> Census:
    """Count what is in the database now; raises TryAgain when it is away."""
    engine = open_database(settings.database.url)
    try:
        return take_census(engine, time.time())
    finally:
        engine.dispose()


def free_bytes(settings: Settings) -> int:
    """Say how much room the archive's disk has."""
    return FileArchive(archive_folder(settings)).free_bytes()


def loop(turn: Callable[[], object], stop: threading.Event, orphaned: Callable[[], bool]) -> None:
    """Take turns until `stop`; pause when there is nothing to do, or a fault passes.

    `turn` says whether it did anything.
    """
    pause_s = POLL_S
    while not stop.is_set() and not orphaned():
        try:
            pause_s = 0.0 if turn() else POLL_S
        except NodeError as error:
            pause_s = min(LONGEST_PAUSE_S, max(0.5, 2 * pause_s))
            log.error("turn_failed", error=type(error).__name__, reason=str(error), pause_s=pause_s)
        if pause_s:
            stop.wait(pause_s)
