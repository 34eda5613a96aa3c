"""The arguments and answers of `dicom-node oru`."""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dicom_node.process.logs import start_logs
from dicom_node.settings.settings import load_settings

WORDS = "show the HL7 or FHIR message of a study; sends nothing"


def register(commands: Any) -> None:  # noqa: ANN401 - argparse names this type privately
    """Add the command to the command line's subparsers."""
    command = commands.add_parser("oru", help=WORDS, description=WORDS)
    command.set_defaults(run=run)
    command.add_argument("-c", "--config", type=Path, required=True, metavar="FILE")
    of = command.add_mutually_exclusive_group(required=True)
    of.add_argument("--study", metavar="UID", help="a stored study, read again")
    of.add_argument("--example", action="store_true", help="a made-up finding")
    command.add_argument("--to", required=True, metavar="NAME", help="one of [[hl7]] or [[fhir]]")


def run(options: argparse.Namespace) -> int:
    """Print the messages, and on stderr whether each is valid; raises NodeError."""
    from dicom_node.commands import preview

    settings = load_settings(options.config)
    start_logs("console", "error", "oru")
    if options.example:
        shown: Iterable[str] = [preview.example_message(settings, options.to)]
    else:
        shown = preview.messages(settings, options.study, options.to)
    for message in shown:
        print(message, flush=True)
        print(preview.verdict(message), file=sys.stderr)
    return 0
