"""Write the conformance statements of a configuration."""

import time
from pathlib import Path

import click

from dicom_node import __version__
from dicom_node.commands.conformance import document as documents
from dicom_node.commands.conformance import printed
from dicom_node.commands.conformance.statement import dicom_statement, ihe_statement
from dicom_node.commands.options import PATH, config_option
from dicom_node.network.dimse.options import prepare
from dicom_node.settings.settings import load_settings


@click.command()
@config_option()
@click.option("--out", type=PATH, required=True, metavar="DIR")
def conformance(config: Path, out: Path) -> None:
    """Write each statement as HTML and PDF; raises BadSettings."""
    settings = load_settings(config)
    prepare()
    made_on = time.strftime("%Y-%m-%d")
    out.mkdir(parents=True, exist_ok=True)
    for name, statement in (("dicom", dicom_statement), ("ihe", ihe_statement)):
        document = statement(settings, __version__, made_on)
        page = out / f"{name}-conformance.html"
        page.write_text(documents.page(document), encoding="utf-8")
        paper = page.with_suffix(".pdf")
        paper.write_bytes(printed.page(document))
        click.echo(f"{page}\n{paper}")
