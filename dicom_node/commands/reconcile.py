"""The arguments and answers of `dicom-node reconcile`."""

import argparse
import threading
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

from dicom_node.commands.backfill import in_words
from dicom_node.domain.errors import BadSettings
from dicom_node.process.logs import start_logs
from dicom_node.settings.settings import load_settings


def register(commands: Any) -> None:  # noqa: ANN401 - argparse names its parsers' type privately
    """Add the command."""
    words = "compare the last days of the PACS with what was received, now"
    command = commands.add_parser("reconcile", help=words, description=words)
    command.set_defaults(run=_run)
    command.add_argument("-c", "--config", type=Path, required=True, metavar="FILE")
    command.add_argument("--fetch", action="store_true", help="fetch what is missing")


def _run(options: argparse.Namespace) -> int:
    from dicom_node.assembly.parts import open_parts
    from dicom_node.operations.reconciliation import left, reconcile

    settings = load_settings(options.config)
    start_logs("console", "warning", "reconcile")
    if not settings.reconcile.peer:
        raise BadSettings("reconcile.peer is empty; name the PACS of [[peers]] to compare with")
    fetch = options.fetch or settings.reconcile.fetch
    missing = failed = 0
    with closing(open_parts(settings)) as parts:
        today = date.today()
        for one in reconcile(parts, today, threading.Event().wait, fetch=fetch):
            print(in_words(one, dry_run=not fetch), flush=True)
            missing, failed = missing + left(one), failed + len(one.faults)
    print(f"{missing} images are missing, {failed} failures")
    return 1 if missing or failed else 0
