"""List, verify, challenge, promote and roll back models."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path

import click

from dicom_node.audit import events
from dicom_node.audit.node import audit_change
from dicom_node.commands import check, lifecycle
from dicom_node.commands.options import PATH, config_option
from dicom_node.domain.errors import BadSettings
from dicom_node.settings.settings import Settings, load_settings

task_argument = partial(click.argument, "task")


@click.group()
def models() -> None:
    """Group what is done with models."""


@models.command("list", help="list the installed models")
@config_option(needed=False)
def _list(config: Path | None) -> None:
    for words in check.list_models(load_settings(config) if config else Settings()):
        click.echo(words)


@models.command(help="verify them")
@config_option(needed=False)
def verify(config: Path | None) -> int:
    """Print a line a check; 1 when one fails."""
    return check.print_checks(check.model_checks(load_settings(config) if config else Settings()))


@models.command(help="let a challenger read live jobs; nothing of it is sent")
@task_argument()
@click.argument("folder", type=PATH, required=False)
@click.option("--stop", is_flag=True, help="end the shadow")
@config_option()
def shadow(task: str, folder: Path | None, stop: bool, config: Path) -> None:
    """Begin or end a shadow. Raises BadSettings for a challenger that may not read."""
    settings = load_settings(config)
    if stop:
        _change(settings, "shadow", lifecycle.stop_shadow(settings, task))
    elif folder is None:
        raise BadSettings("models shadow: name the challenger's FOLDER, or --stop")
    else:
        _change(settings, "shadow", lifecycle.shadow(settings, task, folder))


@models.command(help="compare the challenger with the model that serves")
@task_argument()
@click.option("--json", "as_json", is_flag=True)
@config_option()
def compare(task: str, as_json: bool, config: Path) -> None:
    """Print how the two agree; raises BadSettings without a challenger."""
    comparison = lifecycle.compare(load_settings(config), task)
    if as_json:
        click.echo(lifecycle.compared_as_json(comparison))
    else:
        for words in lifecycle.compared_in_words(comparison):
            click.echo(words)


@models.command(help="let the challenger serve, unless it is worse")
@task_argument()
@click.option("--data", type=PATH, metavar="DIR", help="labelled images")
@click.option("--margin", type=float, default=0.02, metavar="AUC")
@click.option("--force", is_flag=True)
@config_option()
def promote(task: str, data: Path | None, margin: float, force: bool, config: Path) -> None:
    """Promote the challenger; raises GiveUp for one that is worse."""
    settings = load_settings(config)
    _change(settings, "promote", lifecycle.promote(settings, task, data, margin, force))


@models.command(help="let the model serve that served before")
@task_argument()
@config_option()
def rollback(task: str, config: Path) -> None:
    """Go back; raises GiveUp when no model served before."""
    settings = load_settings(config)
    _change(settings, "rollback", lifecycle.rollback(settings, task))


def _change(settings: Settings, action: str, lines: Iterable[str]) -> None:
    """Make a change, saying what is done; the audit trail gets the last line."""
    done = ""
    for done in lines:
        click.echo(done)
    audit_change(settings, events.SOFTWARE_CONFIGURATION, f"models {action}: {done}")
