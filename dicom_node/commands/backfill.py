"""Fetch from a PACS what the node never received."""

import threading
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from dicom_node.assembly import retrieval
from dicom_node.commands.options import config_option, one_of
from dicom_node.domain.errors import BadSettings
from dicom_node.domain.exchange.retrieval import Span
from dicom_node.flow.backfill import BackfilledStudy, BackfillQuery
from dicom_node.process.logs import start_logs
from dicom_node.settings.settings import load_settings

LONGEST_ACCESSION_NUMBER = 16
"""Characters, VR SH."""
DAY = click.DateTime(["%Y-%m-%d"])


@click.command()
@config_option()
@click.option("--from", "first", type=DAY, metavar="DAY", help="YYYY-MM-DD")
@click.option("--to", "last", type=DAY, metavar="DAY", help="the last day")
@click.option("--accession", default="", metavar="NUMBER")
@click.option("--peer", default="", metavar="NAME", help="of [[peers]]")
@click.option("--web", default="", metavar="NAME", help="of [[stow]]: QIDO-RS, WADO-RS")
@click.option("--move", is_flag=True, help="C-MOVE to the node, not C-GET")
@click.option(
    "--rate",
    "per_minute",
    type=click.FloatRange(min=0),
    default=0,
    metavar="N",
    help="images a minute; 0: no limit",
)
@click.option("--route", default="", metavar="NAME", help="of [[routes]], the only one to go by")
@click.option("--dry-run", is_flag=True, help="list, fetch nothing")
def backfill(
    config: Path,
    first: datetime | None,
    last: datetime | None,
    accession: str,
    dry_run: bool,
    **how: Any,  # noqa: ANN401 - the other options, named as BackfillOptions has them
) -> int:
    """Print a line a study; 1 when something failed. Raises NodeError."""
    one_of("peer", "web")
    one_of("web", "move")
    settings = load_settings(config)
    start_logs("console", "warning", "backfill")
    query, options = _query(first, last, accession), retrieval.BackfillOptions(**how)
    studies = images = known = fetched = failed = 0
    for study in retrieval.backfill(
        settings, query, options, threading.Event().wait, dry_run=dry_run
    ):
        click.echo(in_words(study, dry_run=dry_run))
        studies += 1
        images += study.found.images
        known += study.found.images - len(study.found.missing)
        fetched += study.fetched
        failed += len(study.faults)
    click.echo(
        f"{studies} studies, {images} images: {known} were here, {fetched} fetched, "
        f"{images - known - fetched} missing, {failed} failures"
    )
    return 1 if failed else 0


def _query(first: datetime | None, last: datetime | None, accession: str) -> BackfillQuery:
    """Check what is looked for; raises BadSettings."""
    number = accession.strip(" ")
    if len(number) > LONGEST_ACCESSION_NUMBER or not number.isascii() or set(number) & set("*?\\"):
        raise BadSettings(
            f"--accession {number}: write one number of at most 16 characters, without * ? \\"
        )
    if first is None and last is None:
        if not number:
            raise BadSettings("say what to fetch: --from and --to, or --accession")
        return BackfillQuery(None, number)
    if first is None or last is None or first > last:
        raise BadSettings("--from and --to belong together, the earlier day first")
    return BackfillQuery(Span(first.date(), last.date()), number)


def in_words(filled: BackfilledStudy, *, dry_run: bool) -> str:
    """Give a study's line: its UID and what became of its images."""
    found = filled.found
    words = (
        f"{found.study_uid}: {found.images} images, {found.images - len(found.missing)} were here"
    )
    words += f", {len(found.missing)} missing" if dry_run else f", {filled.fetched} fetched"
    faults = dict.fromkeys(filled.faults)
    return words + "".join(f"; FAILED {filled.faults.count(fault)}: {fault}" for fault in faults)
