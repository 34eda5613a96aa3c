"""The arguments and answers of `dicom-node callers`."""

import argparse
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

from dicom_node.assembly import parts as node
from dicom_node.audit import events
from dicom_node.audit.changes import audit_change
from dicom_node.domain.errors import BadSettings
from dicom_node.domain.operations.status import Caller
from dicom_node.network.hosts import canonical
from dicom_node.process.logs import start_logs
from dicom_node.settings.settings import load_settings
from dicom_node.storage.queue import callers

WORDS = "list callers that knocked (unknown_callers = learn), let them in or forget them"

log = structlog.get_logger()


def register(commands: Any) -> None:  # noqa: ANN401 - argparse names this type privately
    """Add the command to the command line's subparsers."""
    command = commands.add_parser("callers", help=WORDS, description=WORDS)
    command.set_defaults(run=run)
    command.add_argument("-c", "--config", type=Path, required=True, metavar="FILE")
    does = command.add_mutually_exclusive_group()
    does.add_argument("--approve", metavar="AE@HOST", help="serve this caller from now on")
    does.add_argument("--forget", metavar="AE@HOST", help="no longer, and forget that it knocked")


def run(options: argparse.Namespace) -> int:
    """Do what is asked, or list; 1 when the caller is not known. Raises NodeError."""
    settings = load_settings(options.config)
    start_logs(settings.logs.format, settings.logs.level, "callers")
    with closing(node.open_parts(settings)) as parts:
        if not (options.approve or options.forget):
            for line in _lines(*callers.listed(parts.engine)):
                print(line)
            return 0
        ae, host = _named(options.approve or options.forget)
        if options.approve:
            known = callers.approve(parts.engine, ae, host, time.time())
        else:
            known = callers.forget(parts.engine, ae, host)
    if not known:
        print(f"{ae}@{host} is not known; `dicom-node callers` lists who has knocked")
        return 1
    event = "caller_approved" if options.approve else "caller_forgotten"
    log.info(event, calling_ae=ae, host=host)
    does = "served" if options.approve else "forgotten"
    words = f"caller {ae}@{host} is {does} from now on"
    audit_change(settings, events.SECURITY_CONFIGURATION, words)
    print(f"{ae}@{host} is {does} from now on")
    return 0


def _lines(waiting: tuple[Caller, ...], let_in: tuple[tuple[str, str, float], ...]) -> list[str]:
    lines = [f"served   {ae}@{host}  since {_when(at)}" for ae, host, at in let_in]
    lines += [
        f"waiting  {one.ae}@{one.host}  {one.times} times, last {_when(one.last_at)}"
        for one in waiting
    ]
    return lines or ["nobody has knocked (receive.unknown_callers = learn records who does)"]


def _named(text: str) -> tuple[str, str]:
    # a title may hold an @, an address may not
    ae, _, host = text.rpartition("@")
    if not ae or not host:
        raise BadSettings(f"{text}: write AETITLE@HOST as `dicom-node callers` lists it")
    return ae, canonical(host)


def _when(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")
