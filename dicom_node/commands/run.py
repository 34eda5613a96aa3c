"""Run the roles: all under one supervisor, or one alone."""

from pathlib import Path

import click

from dicom_node.assembly import parts as node
from dicom_node.audit.node import audited_role
from dicom_node.commands.options import config_option
from dicom_node.process import crash_points, supervisor
from dicom_node.process.logs import start_logs
from dicom_node.roles import run_role
from dicom_node.settings.settings import Settings, load_settings


@click.command()
@config_option()
def migrate(config: Path) -> None:
    """Migrate the database; raises BadSettings for one that is newer than the code."""
    node.open_parts(load_settings(config), migrate=True).close()
    click.echo("database is up to date")


@click.command()
@config_option()
def run(config: Path) -> int:
    """Run all roles until SIGTERM; 2 when one says that the settings are wrong."""
    settings = load_settings(config)
    start_logs(settings.logs.format, settings.logs.level, "run")
    node.open_parts(settings, migrate=True).close()
    started = {name: (role, "-c", str(config)) for name, role in _wanted(settings).items()}
    with supervisor.stop_signal() as stop, audited_role(settings, "run"):
        return supervisor.supervise(started, stop)


def _wanted(settings: Settings) -> dict[str, str]:
    """Name the processes that a configuration asks for, each with its role."""
    workers = {f"work-{n + 1}": "work" for n in range(settings.inference.workers)}
    wanted = {"receive": "receive", "deliver": "deliver", **workers, "console": "console"}
    if settings.dicomweb.port:
        wanted["dicomweb"] = "dicomweb"
    if settings.orders.port:
        wanted["orders"] = "orders"
    return wanted


@click.command()
@config_option()
@click.pass_context
def _role(ctx: click.Context, config: Path) -> None:
    """Run the role that the command is named after until SIGTERM, then drain."""
    name = str(ctx.info_name)
    settings = load_settings(config)
    start_logs(settings.logs.format, settings.logs.level, name)
    crash_points.arm(name)
    ending = supervisor.stop_signal(supervisor.ROLE_DRAIN_S)
    with ending as stop, audited_role(settings, name):
        run_role(name, settings, stop)


receive = work = deliver = console = dicomweb = orders = _role
