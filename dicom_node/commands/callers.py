"""List callers that were turned away, approve or forget them."""

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import click
import structlog

from dicom_node.assembly import parts as node
from dicom_node.audit import events
from dicom_node.audit.node import audit_change
from dicom_node.commands.options import config_option, one_of
from dicom_node.domain.errors import BadSettings
from dicom_node.domain.operations.status import Caller
from dicom_node.network.hosts import canonical
from dicom_node.process.logs import start_logs
from dicom_node.settings.settings import load_settings
from dicom_node.storage.queue import callers as known_callers

log = structlog.get_logger()


@click.command()
@config_option()
@click.option("--approve", metavar="AE@HOST", help="serve this caller from now on")
@click.option("--forget", metavar="AE@HOST", help="serve it no longer, and forget it")
def callers(config: Path, approve: str | None, forget: str | None) -> int:
    """Do what is asked, or list; 1 when the caller is not known. Raises NodeError."""
    one_of("approve", "forget")
    settings = load_settings(config)
    start_logs(settings.logs.format, settings.logs.level, "callers")
    with closing(node.open_parts(settings)) as parts:
        named = approve or forget
        if not named:
            for line in _lines(*known_callers.list_callers(parts.engine)):
                click.echo(line)
            return 0
        ae, host = _named(named)
        if approve:
            known = known_callers.approve(parts.engine, ae, host, parts.clock())
        else:
            known = known_callers.forget(parts.engine, ae, host)
    if not known:
        click.echo(f"{ae}@{host} is not known; `dicom-node callers` lists who was turned away")
        return 1
    log.info("caller_approved" if approve else "caller_forgotten", calling_ae=ae, host=host)
    words = f"{ae}@{host} is {'served' if approve else 'forgotten'} from now on"
    audit_change(settings, events.SECURITY_CONFIGURATION, f"caller {words}")
    click.echo(words)
    return 0


def _lines(waiting: tuple[Caller, ...], let_in: tuple[tuple[str, str, float], ...]) -> list[str]:
    lines = [f"served   {ae}@{host}  since {_when(at)}" for ae, host, at in let_in]
    lines += [
        f"waiting  {caller.ae}@{caller.host}  {caller.times} times, last {_when(caller.last_at)}"
        for caller in waiting
    ]
    return lines or ["nobody was turned away (receive.unknown_callers = learn records who is)"]


def _named(text: str) -> tuple[str, str]:
    # a title may hold an @, an address may not
    ae, _, host = text.rpartition("@")
    if not ae or not host:
        raise BadSettings(f"{text}: write AETITLE@HOST as `dicom-node callers` lists it")
    return ae, canonical(host)


def _when(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")
