"""Register what the archive holds and the database has forgotten."""

import time
from contextlib import closing
from itertools import chain
from pathlib import Path

import click

from dicom_node.assembly import parts as node
from dicom_node.commands.options import config_option
from dicom_node.domain.work import Recorded
from dicom_node.flow.recover import Recovery
from dicom_node.flow.recover import recover as register
from dicom_node.formats.dicom.header import describe, read_header
from dicom_node.settings.settings import load_settings
from dicom_node.storage.status.retention import SqlRetention

LATER_S = 86_400.0
"""Also files of a clock that was ahead are looked at."""


@click.command()
@config_option()
@click.option("--adopt", is_flag=True, help="bind database and archive to each other from now on")
@click.option("--as", "calling_ae", default="RECOVER", metavar="AET", help="who sent them")
def recover(config: Path, adopt: bool, calling_ae: str) -> int:
    """Record and queue received films that no row knows; 1 if one could not be."""
    settings = load_settings(config)
    with closing(node.open_parts(settings, migrate=True, adopt=adopt)) as parts:
        recovery = Recovery(
            archive=parts.archive,
            ledger=parts.ledger,
            known_keys=SqlRetention(parts.engine).known_keys,
            describe=lambda path: describe(read_header(path)),
            routes=settings.routes,
            calling_ae=calling_ae,
            called_ae=settings.node.ae_title,
        )
        keys = chain(
            parts.archive.old_keys(time.time() + LATER_S), list(parts.archive.keys_aside())
        )
        counts = dict.fromkeys((*Recorded, None), 0)
        for found in register(keys, recovery, parts.clock()):
            counts[found.recorded] += 1
            if found.recorded is None:
                click.echo(f"{found.key}: {found.reason}")
    click.echo(
        f"{counts[Recorded.NEW]} films registered, {counts[Recorded.SAME]} were known under "
        f"another file, {counts[Recorded.CONFLICT]} differ from what is known, "
        f"{counts[None]} cannot be read"
    )
    return 1 if counts[None] or counts[Recorded.CONFLICT] else 0
