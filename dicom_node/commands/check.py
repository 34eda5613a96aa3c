"""What `dicom-node check` looks at, one line each."""

import os
import shutil
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import click

from dicom_node.assembly import commitment, destinations, pipelines
from dicom_node.assembly import parts as node
from dicom_node.assembly.archive import open_archive
from dicom_node.assembly.destinations import outgoing
from dicom_node.assembly.negotiation import acceptance_checks, ask, taken_by
from dicom_node.audit.watch import audit_checks
from dicom_node.commands.options import config_option
from dicom_node.domain.errors import NodeError
from dicom_node.domain.findings import OWN_POINT
from dicom_node.domain.pipeline import Adjustable, Check, Pipeline
from dicom_node.domain.study import Peer
from dicom_node.network import fhir
from dicom_node.network.dicomweb import scu
from dicom_node.network.dimse import scu as dimse_scu
from dicom_node.network.dimse.options import prepare
from dicom_node.network.hl7 import mllp
from dicom_node.operations import reconciliation
from dicom_node.operations.certificates import security_checks
from dicom_node.settings.settings import Settings, load_settings
from dicom_node.storage.database.engine import schema_version_of
from dicom_node.storage.models import linked, models_dir


@click.command()
@config_option()
def check(config: Path) -> int:
    """Print a line a check; 1 when one fails. Raises BadSettings."""
    return print_checks(all_checks(load_settings(config)))


def print_checks(lines: Iterable[Check]) -> int:
    """Print each check as it is done; returns 1 when one fails."""
    failed = 0
    for line in lines:
        click.echo(f"{'ok    ' if line.ok else 'FAILED'}  {line.name}: {line.words}")
        failed += not line.ok
    return 1 if failed else 0


def all_checks(settings: Settings) -> Iterator[Check]:
    """Look at database, disk, models and every destination, cheapest first."""
    prepare()
    yield Check("configuration", True, f"AE title {settings.node.ae_title}, {_routes(settings)}")
    yield _database(settings)
    yield _disk(settings)
    yield from _archive(settings)
    yield from model_checks(settings)
    yield from security_checks(settings, time.time())
    yield from audit_checks(settings)
    for peer in settings.peers:
        yield from _peer(settings, peer)
    yield from reconciliation.probe(settings)
    for server in settings.stow:
        yield scu.probe(server)
    for receiver in settings.hl7:
        yield mllp.probe(receiver, outgoing(settings, receiver))
    for emr in settings.fhir:
        yield fhir.probe(emr)


def model_checks(settings: Settings) -> Iterator[Check]:
    """Load every pipeline and challenger and let it read the phantoms."""
    store = pipelines.model_store_of(settings)
    for name in settings.pipelines:
        try:
            pipeline = pipelines.load_pipeline(settings, name)
            yield from pipeline.verify()
            yield from _points(settings, name, pipeline)
        except NodeError as error:
            yield Check(f"{name} model", False, str(error))
        try:
            folder = models_dir(store, name, "challenger")
            if folder is not None:
                for check in pipelines.load_pipeline(settings, name, folder).verify():
                    yield replace(check, name=f"challenger {check.name}")
        except NodeError as error:
            yield Check(f"challenger {name} model", False, str(error))


def _points(settings: Settings, name: str, pipeline: Pipeline) -> Iterator[Check]:
    """Say at which operating point each route that asks for one is judged."""
    for route in settings.routes:
        if name not in route.pipelines or route.choice == OWN_POINT:
            continue
        title = f"route {route.name} {name}"
        if not isinstance(pipeline, Adjustable):
            yield Check(title, True, "has no operating points to choose from, reads at its own")
            continue
        for finding, point in pipeline.points_of(route.choice).items():
            least = "" if point.measured else "at least "
            yield Check(
                title,
                True,
                f"{finding} judged at {point.name}, threshold {point.threshold:g}: sensitivity "
                f"{least}{point.sensitivity:.3f}, specificity {least}{point.specificity:.3f}",
            )


def _routes(settings: Settings) -> str:
    return f"{len(settings.routes)} routes" if settings.routes else "no route: nothing is analysed"


def _database(settings: Settings) -> Check:
    """Look at the schema; `check` may run beside a node and migrates nothing."""
    try:
        version = _schema_version(settings)
        if version:
            node.open_parts(settings).close()
    except NodeError as error:
        return Check("database", False, str(error))
    if not version:
        return Check("database", True, "reachable and empty: `run` makes the schema")
    return Check("database", True, f"reachable, schema at version {version}")


def _schema_version(settings: Settings) -> int:
    with node.opened_engine(settings) as engine:
        return schema_version_of(engine)


def _disk(settings: Settings) -> Check:
    folder = settings.node.data_dir
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".write-test-{os.getpid()}"
        probe.write_bytes(b"x")
        probe.unlink()
    except OSError as error:
        return Check("disk", False, f"{folder} cannot be written: {error.strerror}")
    free_gb = shutil.disk_usage(folder).free / 1e9
    least_gb = settings.receive.min_free_gb
    words = f"{folder}: {free_gb:.1f} GB free, {least_gb:g} GB are the reserve"
    return Check("disk", free_gb > least_gb, words)


def _archive(settings: Settings) -> Iterator[Check]:
    """Store, read and delete a file in an archive outside data_dir."""
    section = settings.archive
    if not section.url:
        return
    try:
        archive = open_archive(settings)
        content = os.urandom(32)  # its own, so that two checks at once do not meet
        key = archive.put([content], "checks", "").key
        sound = archive.read(key) == content
        archive.delete(key)
    except NodeError as error:
        yield Check("archive", False, str(error))
        return
    plain = section.endpoint.startswith("http:")
    words = "stored, read and deleted a file" if sound else "a file came back changed"
    words += "; without TLS: images travel in the clear" if plain else ""
    yield Check("archive", sound, f"{section.url}: {words}")
    secret = section.credentials_file
    if secret and Path(secret).stat().st_mode & stat.S_IRWXO:
        yield Check("archive", False, f"{secret} can be read by everybody: chmod 600 it")


def _peer(settings: Settings, peer: Peer) -> Iterator[Check]:
    """Echo a peer that receives, and ask what it takes of what routes send."""
    if not any(peer.name in route.send_to for route in settings.routes):
        return
    target = destinations.target(settings, peer.name)
    answer = dimse_scu.echo(target)
    yield answer
    if not answer.ok:
        return
    yield from commitment.probe(settings, peer)
    try:
        taken = _taken(settings, peer)
    except NodeError as error:
        yield Check(f"{peer.name} accepts", False, str(error))
        return
    yield from acceptance_checks(settings, peer, taken)


def _taken(settings: Settings, peer: Peer) -> dict[str, list[str]]:
    """Ask what a peer takes; remembered where there is a schema to do so."""
    if not _schema_version(settings):
        return taken_by(settings, peer)
    with closing(node.open_parts(settings)) as parts:
        return ask(parts, peer)


def list_models(settings: Settings) -> Iterator[str]:
    """Describe each installed model in a line."""
    store = pipelines.model_store_of(settings)
    for name in settings.pipelines:
        pipeline = pipelines.load_pipeline(settings, name)
        card = (models_dir(store, name) or store.shipped) / name / "CARD.md"
        current, challenger = linked(store, name), linked(store, name, "challenger")
        origin = "promoted" if current is not None and current.folder else "shipped"
        line = f"{pipeline.name}  {pipeline.version}  {origin}  on {pipeline.device}  {card}"
        yield line if challenger is None else f"{line}  challenger {challenger.version} in shadow"
