"""Check the audit log."""

from pathlib import Path

import click

from dicom_node.audit import chain, trail
from dicom_node.audit.node import place_of
from dicom_node.commands.options import config_option
from dicom_node.domain.errors import BadSettings
from dicom_node.settings.settings import load_settings


@click.group()
def audit() -> None:
    """Group what is done with the audit log."""


@audit.command(help="check that nobody changed the log")
@config_option()
def verify(config: Path) -> None:
    """Verify the log and say what was found. Raises GiveUp for one that was changed."""
    place = place_of(load_settings(config))
    if place is None:
        raise BadSettings(f"{config}: no audit trail is kept; set audit.file")
    proof = chain.verify(place.file)
    click.echo(f"{place.file}: {proof.lines} lines, the chain is unbroken")
    for number in proof.cut:
        click.echo(f"line {number} was cut short by a crash or power loss; the next one says so")
    if not proof.anchored:
        click.echo("nothing notes how far the log reached: lines missing at its end would not show")
    click.echo(f"SHA-256 of the last line: {proof.last}")
    if place.server is not None:
        click.echo(f"{trail.backlog(place.file)} bytes are not yet sent by syslog")
