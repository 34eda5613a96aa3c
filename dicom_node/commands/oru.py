"""Show the message that a receiver would get."""

from collections.abc import Iterable
from pathlib import Path

import click

from dicom_node.commands import preview
from dicom_node.commands.options import config_option, one_of
from dicom_node.process.logs import start_logs
from dicom_node.settings.settings import load_settings


@click.command()
@config_option()
@click.option("--study", metavar="UID", help="a stored study, read again")
@click.option("--example", is_flag=True, help="a made-up finding")
@click.option("--to", required=True, metavar="NAME", help="one of [[hl7]] or [[fhir]]")
def oru(config: Path, study: str, example: bool, to: str) -> None:
    """Print the messages, and on stderr whether each is valid; raises NodeError."""
    one_of("study", "example", needed=True)
    settings = load_settings(config)
    start_logs("console", "error", "oru")
    shown: Iterable[str] = (
        [preview.example_message(settings, to)]
        if example
        else preview.messages(settings, study, to)
    )
    for message in shown:
        click.echo(message)
        click.echo(preview.verdict(message), err=True)
