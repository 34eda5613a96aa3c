"""The arguments and answers of `dicom-node models`."""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

from dicom_node.audit import events
from dicom_node.audit.changes import audit_change
from dicom_node.domain.errors import BadSettings
from dicom_node.settings.settings import Settings


def run(options: argparse.Namespace, settings: Settings) -> Iterator[str]:
    """Do one action on a task's model; yields what to print, line by line."""
    from dicom_node.commands import lifecycle

    if options.action == "compare":
        comparison = lifecycle.compare(settings, options.task)
        if options.json:
            yield lifecycle.compared_as_json(comparison)
        else:
            yield from lifecycle.compared_in_words(comparison)
        return
    done = ""
    for done in _change(options, settings):
        yield done
    audit_change(settings, events.SOFTWARE_CONFIGURATION, f"models {options.action}: {done}")


def _change(options: argparse.Namespace, settings: Settings) -> Iterator[str]:
    from dicom_node.commands import lifecycle

    task = options.task
    if options.action == "promote":
        return lifecycle.promote(settings, task, options.data, options.margin, options.force)
    if options.action == "rollback":
        return lifecycle.rollback(settings, task)
    if options.stop:
        return lifecycle.stop_shadow(settings, task)
    if options.folder is None:
        raise BadSettings("models shadow: name the challenger's FOLDER, or --stop")
    return lifecycle.shadow(settings, task, options.folder)


def add_arguments(
    command: argparse.ArgumentParser, change: Callable[[argparse.Namespace], int]
) -> None:
    """Give `models` its actions; `change` runs those that need a task."""
    actions = command.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, words in (("list", "list the installed models"), ("verify", "verify them")):
        actions.add_parser(name, help=words).add_argument(
            "-c", "--config", type=Path, metavar="FILE"
        )
    for name, words in (
        ("shadow", "let a challenger read live jobs; nothing of it is sent"),
        ("compare", "compare the challenger with the model that serves"),
        ("promote", "let the challenger serve, unless it is worse"),
        ("rollback", "let the model serve that served before"),
    ):
        action = actions.add_parser(name, help=words, description=words)
        action.set_defaults(run=change)
        action.add_argument("task", metavar="TASK")
        action.add_argument("-c", "--config", type=Path, required=True, metavar="FILE")
        if name == "shadow":
            action.add_argument("folder", type=Path, nargs="?", metavar="FOLDER")
            action.add_argument("--stop", action="store_true", help="end the shadow")
        elif name == "compare":
            action.add_argument("--json", action="store_true")
        elif name == "promote":
            action.add_argument("--data", type=Path, metavar="DIR", help="labelled images")
            action.add_argument("--margin", type=float, default=0.02, metavar="AUC")
            action.add_argument("--force", action="store_true")
