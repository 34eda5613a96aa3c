"""The arguments and answers of `dicom-node audit`."""

import argparse
from pathlib import Path
from typing import Any

from dicom_node.audit import chain, trail
from dicom_node.audit.node import place_of
from dicom_node.domain.errors import BadSettings
from dicom_node.settings.settings import load_settings

WORDS = "check that nobody changed the audit log (audit verify)"


def register(commands: Any) -> None:  # noqa: ANN401 - argparse names this type privately
    """Add the command to the command line's subparsers."""
    command = commands.add_parser("audit", help=WORDS, description=WORDS)
    command.set_defaults(run=run)
    command.add_argument("does", choices=("verify",), metavar="verify")
    command.add_argument("-c", "--config", type=Path, required=True, metavar="FILE")


def run(options: argparse.Namespace) -> int:
    """Verify the log and say what was found. Raises GiveUp for one that was changed."""
    place = place_of(load_settings(options.config))
    if place is None:
        raise BadSettings(f"{options.config}: no audit trail is kept; set audit.file")
    proof = chain.verify(place.file)
    print(f"{place.file}: {proof.lines} lines, the chain is unbroken")
    for number in proof.cut:
        print(f"line {number} was cut short by a crash or power loss; the next one says so")
    if not proof.anchored:
        print("nothing notes how far the log reached: lines missing at its end would not show")
    print(f"SHA-256 of the last line: {proof.last}")
    if place.server is not None:
        print(f"{trail.backlog(place.file)} bytes are not yet sent by syslog")
    return 0
