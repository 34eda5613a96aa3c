"""The commands that have a module of their own."""

from typing import Any

from dicom_node import (
    audit_command,
    backfill_command,
    callers_command,
    conformance_command,
    oru_command,
    reanalyse_command,
    reconcile_command,
)


def register(commands: Any) -> None:  # noqa: ANN401 - argparse names this type privately
    """Add them to the command line's subparsers."""
    reanalyse_command.register(commands)
    oru_command.register(commands)
    conformance_command.register(commands)
    backfill_command.register(commands)
    reconcile_command.register(commands)
    callers_command.register(commands)
    audit_command.register(commands)
