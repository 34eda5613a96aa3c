"""The arguments and answers of `dicom-node backfill`."""

import argparse
import threading
from datetime import date
from pathlib import Path
from typing import Any

from dicom_node.domain.errors import BadSettings
from dicom_node.domain.exchange.retrieval import Span
from dicom_node.flow.backfill import BackfillQuery, Filled
from dicom_node.process.logs import start_logs
from dicom_node.settings.settings import load_settings

LONGEST_ACCESSION_NUMBER = 16
"""Characters, VR SH."""


def register(commands: Any) -> None:  # noqa: ANN401 - argparse names its parsers' type privately
    """Add the command."""
    words = "fetch from a PACS what the node never received"
    command = commands.add_parser("backfill", help=words, description=words)
    command.set_defaults(run=_run)
    command.add_argument("-c", "--config", type=Path, required=True, metavar="FILE")
    command.add_argument("--from", dest="first", type=_day, metavar="DAY", help="YYYY-MM-DD")
    command.add_argument("--to", dest="last", type=_day, metavar="DAY", help="the last day")
    command.add_argument("--accession", default="", metavar="NUMBER")
    way = command.add_mutually_exclusive_group()
    way.add_argument("--peer", default="", metavar="NAME", help="of [[peers]]")
    way.add_argument("--web", default="", metavar="NAME", help="of [[stow]]: QIDO-RS, WADO-RS")
    command.add_argument("--move", action="store_true", help="C-MOVE to the node, not C-GET")
    command.add_argument(
        "--rate", type=float, default=0, metavar="N", help="images a minute; 0: no limit"
    )
    command.add_argument(
        "--route", default="", metavar="NAME", help="of [[routes]], the only one to go by"
    )
    command.add_argument("--dry-run", action="store_true", help="list, fetch nothing")


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is no date; write YYYY-MM-DD") from None


def _run(options: argparse.Namespace) -> int:
    from dicom_node.assembly.retrieval import BackfillOptions, backfill

    settings = load_settings(options.config)
    start_logs("console", "warning", "backfill")
    query = _query(options)
    if options.rate < 0:
        raise BadSettings(f"--rate {options.rate:g}: write images a minute, 0 for no limit")
    if options.web and options.move:
        raise BadSettings("--web and --move exclude each other")
    means = BackfillOptions(options.peer, options.web, options.move, options.rate, options.route)
    studies = images = known = fetched = failed = 0
    for one in backfill(settings, query, means, threading.Event().wait, dry_run=options.dry_run):
        print(in_words(one, dry_run=options.dry_run), flush=True)
        studies += 1
        images += one.gap.images
        known += one.gap.images - len(one.gap.missing)
        fetched += one.fetched
        failed += len(one.faults)
    print(
        f"{studies} studies, {images} images: {known} were here, {fetched} fetched, "
        f"{images - known - fetched} missing, {failed} failures"
    )
    return 1 if failed else 0


def _query(options: argparse.Namespace) -> BackfillQuery:
    """Check what is looked for; raises BadSettings."""
    number = options.accession.strip(" ")
    if len(number) > LONGEST_ACCESSION_NUMBER or not number.isascii() or set(number) & set("*?\\"):
        raise BadSettings(
            f"--accession {number}: write one number of at most 16 characters, without * ? \\"
        )
    if options.first is None and options.last is None:
        if not number:
            raise BadSettings("say what to fetch: --from and --to, or --accession")
        return BackfillQuery(None, number)
    if options.first is None or options.last is None or options.first > options.last:
        raise BadSettings("--from and --to belong together, the earlier day first")
    return BackfillQuery(Span(options.first, options.last), number)


def in_words(filled: Filled, *, dry_run: bool) -> str:
    """Give a study's line: its UID and what became of its images."""
    gap = filled.gap
    words = f"{gap.study_uid}: {gap.images} images, {gap.images - len(gap.missing)} were here"
    words += f", {len(gap.missing)} missing" if dry_run else f", {filled.fetched} fetched"
    faults = dict.fromkeys(filled.faults)
    return words + "".join(f"; FAILED {filled.faults.count(one)}: {one}" for one in faults)
