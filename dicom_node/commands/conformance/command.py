"""The arguments and answers of `dicom-node conformance`."""

import argparse
import time
from pathlib import Path
from typing import Any

import dicom_node
from dicom_node.settings.settings import load_settings

WORDS = "write the DICOM and IHE conformance statements of a configuration"


def register(commands: Any) -> None:  # noqa: ANN401 - argparse names this type privately
    """Add the command to the command line's subparsers."""
    command = commands.add_parser("conformance", help=WORDS, description=WORDS)
    command.set_defaults(run=run)
    command.add_argument("-c", "--config", type=Path, required=True, metavar="FILE")
    command.add_argument("--out", type=Path, required=True, metavar="DIR")


def run(options: argparse.Namespace) -> int:
    """Write each statement as HTML and PDF; raises BadSettings."""
    from dicom_node.commands.conformance import printed
    from dicom_node.commands.conformance.document import page as html_page
    from dicom_node.commands.conformance.statement import dicom_statement, ihe_statement
    from dicom_node.network.dimse.options import prepare

    settings = load_settings(options.config)
    prepare()
    made_on = time.strftime("%Y-%m-%d")
    options.out.mkdir(parents=True, exist_ok=True)
    for name, statement in (("dicom", dicom_statement), ("ihe", ihe_statement)):
        document = statement(settings, dicom_node.__version__, made_on)
        page = options.out / f"{name}-conformance.html"
        page.write_text(html_page(document), encoding="utf-8")
        paper = page.with_suffix(".pdf")
        paper.write_bytes(printed.page(document))
        print(f"{page}\n{paper}")
    return 0
