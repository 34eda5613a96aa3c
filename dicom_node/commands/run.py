"""Run the roles: all under one supervisor, or one alone.

The supervisor stays small: it imports neither DICOM nor the database.
"""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import click

from dicom_node.commands.options import config_option
from dicom_node.process import crash_points, supervisor
from dicom_node.process.logs import start_logs
from dicom_node.roles import run_role
from dicom_node.settings.settings import Settings, load_settings


@click.command()
@config_option()
def migrate(config: Path) -> None:
    """Migrate the database; raises BadSettings for one that is newer than the code."""
    from dicom_node.assembly.parts import open_parts

    open_parts(load_settings(config), migrate=True).close()
    click.echo("database is up to date")


@click.command()
@config_option()
def run(config: Path) -> int:
    """Run all roles until SIGTERM; 2 when one says that the settings are wrong."""
    settings = load_settings(config)
    start_logs(settings.logs.format, settings.logs.level, "run")
    if code := supervisor.run_alone("migrate", "-c", str(config)):
        return code
    started = {name: (role, "-c", str(config)) for name, role in _wanted(settings).items()}
    with supervisor.stop_signal() as stop, _audited(settings, "run"):
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
    with ending as stop, _audited(settings, name):
        run_role(name, settings, stop)


def _audited(settings: Settings, role: str) -> AbstractContextManager[None]:
    """Tell the audit trail, where there is one, that a role starts and stops."""
    if not (settings.audit.file or settings.audit.syslog):
        return nullcontext()
    from dicom_node.audit.node import audited_role

    return audited_role(settings, role)


receive = work = deliver = console = dicomweb = orders = _role
