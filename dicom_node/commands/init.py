"""Write a configuration to start from."""

from pathlib import Path

import click

from dicom_node import share
from dicom_node.commands.options import PATH
from dicom_node.domain.errors import BadSettings


@click.command()
@click.argument("folder", type=PATH, default=Path(), metavar="[DIR]")
def init(folder: Path) -> None:
    """Write DIR/node.toml; raises BadSettings where there is one."""
    target = folder / "node.toml"
    if target.exists():
        raise BadSettings(f"{target} exists already; edit it, or name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    target.write_text((share.CONFIG / "node.toml").read_text(encoding="utf-8"))
    click.echo(f"{target} written. Set the AE titles in it, then: dicom-node check -c {target}")
