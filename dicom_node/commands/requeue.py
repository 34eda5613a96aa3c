"""The arguments and answers of `dicom-node reanalyse`."""

import argparse
import time
from contextlib import closing
from datetime import date, datetime
from pathlib import Path
from typing import Any

from dicom_node.assembly import parts as node
from dicom_node.settings.settings import load_settings

WORDS = "have stored images read again, by the models that serve now"


def register(commands: Any) -> None:  # noqa: ANN401 - argparse names this type privately
    """Add the command to the command line's subparsers."""
    command = commands.add_parser("reanalyse", help=WORDS, description=WORDS)
    command.set_defaults(run=run)
    command.add_argument("-c", "--config", type=Path, required=True, metavar="FILE")
    of = command.add_mutually_exclusive_group(required=True)
    of.add_argument("--study", metavar="UID")
    of.add_argument("--since", type=_midnight, metavar="DAY", help="received since YYYY-MM-DD")


def run(options: argparse.Namespace) -> int:
    """Queue the images and say how many; 1 when there are none. Raises NodeError."""
    with closing(node.open_parts(load_settings(options.config))) as parts:
        queued = parts.ledger.reanalyse(
            study_uid=options.study, since=options.since or 0.0, now=time.time()
        )
    print(f"{len(queued)} images wait to be read again")
    return 0 if queued else 1


def _midnight(text: str) -> float:
    try:
        return datetime.combine(date.fromisoformat(text), datetime.min.time()).timestamp()
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is no date; write YYYY-MM-DD") from None
