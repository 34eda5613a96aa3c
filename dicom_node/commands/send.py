"""Send DICOM files by C-STORE."""

from pathlib import Path

import click

from dicom_node.commands.options import PATH
from dicom_node.domain.errors import BadSettings
from dicom_node.domain.study import Peer
from dicom_node.network.dimse.association import Target
from dicom_node.network.dimse.files import send_paths
from dicom_node.network.dimse.options import prepare
from dicom_node.process.logs import start_logs


@click.command()
@click.argument("paths", type=PATH, nargs=-1, required=True, metavar="PATH...")
@click.option("--to", required=True, metavar="AET@HOST:PORT")
@click.option("--as", "as_title", default="SENDER", metavar="AET")
def send(paths: tuple[Path, ...], to: str, as_title: str) -> int:
    """Send files and folders; 1 when one failed or none was sent. Raises BadSettings."""
    start_logs("console", "error", "send")
    prepare()
    target = Target(_peer(to), as_title)
    files = send_paths(list(paths), target, lambda file: click.echo(f"{file.path}: {file.words}"))
    sent = sum(file.fate == "arrived" for file in files)
    failed = sum(file.fate == "failed" for file in files)
    click.echo(f"{sent} stored, {failed} failed")
    return 1 if failed or not sent else 0


def _peer(text: str) -> Peer:
    title, at, address = text.partition("@")
    host, _, port = address.rpartition(":")
    if not (title and at and host and port.isdigit()):
        raise BadSettings(f"--to {text}: write AETITLE@HOST:PORT, for example PACS@10.0.0.5:104")
    try:
        return Peer("destination", title, host, int(port))
    except ValueError as error:
        raise BadSettings(f"--to {text}: {error}") from None
