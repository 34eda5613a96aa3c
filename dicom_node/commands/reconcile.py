"""Compare the last days of the PACS with what was received."""

import threading
from contextlib import closing
from datetime import date
from pathlib import Path

import click

from dicom_node.assembly.parts import open_parts
from dicom_node.commands.backfill import in_words
from dicom_node.commands.options import config_option
from dicom_node.domain.errors import BadSettings
from dicom_node.operations import reconciliation
from dicom_node.process.logs import start_logs
from dicom_node.settings.settings import load_settings


@click.command()
@config_option()
@click.option("--fetch", is_flag=True, help="fetch what is missing")
def reconcile(config: Path, fetch: bool) -> int:
    """Compare and say what is missing; 1 when something is. Raises BadSettings."""
    settings = load_settings(config)
    start_logs("console", "warning", "reconcile")
    if not settings.reconcile.peer:
        raise BadSettings("reconcile.peer is empty; name the PACS of [[peers]] to compare with")
    fetch = fetch or settings.reconcile.fetch
    missing = failed = 0
    with closing(open_parts(settings)) as parts:
        pause = threading.Event().wait
        for study in reconciliation.reconcile(parts, date.today(), pause, fetch=fetch):
            click.echo(in_words(study, dry_run=not fetch))
            missing, failed = (
                missing + reconciliation.missing_count(study),
                failed + len(study.faults),
            )
    click.echo(f"{missing} images are missing, {failed} failures")
    return 1 if missing or failed else 0
