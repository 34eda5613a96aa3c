"""The command line: `dicom-node COMMAND`.

A command's module is imported when the command runs: the roles start here too, and a
receiver needs no report builders.
"""

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import copy
from importlib import import_module
from typing import Any

import click

from dicom_node import __version__
from dicom_node.domain.errors import BadSettings, NodeError

COMMANDS = {
    "init": ("init", "write a commented node.toml to start from"),
    "check": ("check", "validate configuration, models, database, destinations"),
    "run": ("run", "run all roles under one supervisor"),
    "receive": ("run", "run the role receive alone"),
    "work": ("run", "run the role work alone"),
    "deliver": ("run", "run the role deliver alone"),
    "console": ("run", "run the role console alone"),
    "dicomweb": ("run", "run the role dicomweb alone"),
    "orders": ("run", "run the role orders alone"),
    "migrate": ("run", "bring the database's schema up to date"),
    "analyze": ("analyze", "read image files and write results, without a network"),
    "send": ("send", "send DICOM files or folders by C-STORE"),
    "status": ("status", "show queue, outbox, dead letters and senders"),
    "retry": ("requeue", "make dead letters available again"),
    "reanalyse": ("requeue", "have stored images read again, by the models that serve now"),
    "recover": ("recover", "register films that the archive has and the database lacks"),
    "oru": ("oru", "show the HL7 or FHIR message of a study; sends nothing"),
    "conformance": (
        "conformance.command",
        "write the DICOM and IHE conformance statements of a configuration",
    ),
    "backfill": ("backfill", "fetch from a PACS what the node never received"),
    "reconcile": ("reconcile", "compare the last days of the PACS with what was received, now"),
    "callers": (
        "callers",
        "list callers that were turned away (unknown_callers = learn), approve or forget them",
    ),
    "audit": ("audit", "check that nobody changed the audit log (audit verify)"),
    "models": ("models", "list, verify, challenge, promote, roll back models"),
    "train": ("train", "train a task's model (extra [train])"),
    "quantize": ("train", "make a faster int8 variant of a model, if it may be"),
    "evaluate": ("train", "measure a task's model on labelled images"),
    "demo": ("demo.demo", "a whole hospital on loopback, for a minute"),
}
"""Each command's module, which has a click command of its name, and what the command does."""
TOOLS = ("train", "evaluate", "quantize", "demo")
"""Commands for developers, who want to see of what they died; no patient is named there."""
EXIT_FAILED, EXIT_USAGE = 1, 2
"""Something failed and was named; usage or configuration is wrong."""


class Deferred(click.Command):
    """A command whose module is imported when it runs."""

    def load(self) -> click.Command:
        """Import the command."""
        name = str(self.name)
        module = import_module(f"dicom_node.commands.{COMMANDS[name][0]}")
        command: click.Command = copy(getattr(module, name))  # several names may share it
        command.name, command.help = name, self.short_help
        return command

    def make_context(self, *arguments: Any, **more: Any) -> click.Context:  # noqa: ANN401 - click's own arguments, handed on
        """Parse the command line with what the command itself takes."""
        return self.load().make_context(*arguments, **more)


class _InOrder(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands in the order in which a site needs them."""
        return list(self.commands)


def _print_version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked and not ctx.resilient_parsing:
        from dicom_node import share

        commit = share.commit()
        click.echo(f"dicom-node {__version__}" + (f" (commit {commit})" if commit else ""))
        ctx.exit()


@click.group(
    cls=_InOrder,
    commands={name: Deferred(name, short_help=words) for name, (_, words) in COMMANDS.items()},
    context_settings={"help_option_names": ["-h", "--help"]},
    help="A DICOM node that reads chest radiographs.",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version with its commit and exit.",
)
def dicom_node() -> None:
    """Run a command of the node."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        with _guarded(words):
            return _run(words)
    except BadSettings as error:
        click.echo(f"dicom-node: {error}", err=True)
        return EXIT_USAGE
    except NodeError as error:
        click.echo(f"dicom-node: {error}", err=True)
        return EXIT_FAILED


def _guarded(words: Sequence[str]) -> AbstractContextManager[None]:
    """Keep patients' data out of what a command leaves behind when it crashes."""
    if not words or words[0] not in COMMANDS or words[0] in TOOLS:
        return nullcontext()
    from dicom_node.process.logs import discreet

    return discreet()


def _run(words: list[str]) -> int:
    try:
        return dicom_node.main(words, "dicom-node", standalone_mode=False) or 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return EXIT_FAILED
