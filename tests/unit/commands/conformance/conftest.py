"""A configuration with all outputs, and what its statements say."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dicom_node.commands.conformance.document import Document, Table
from dicom_node.commands.conformance.statement import dicom_statement, ihe_statement
from dicom_node.network.dimse.options import prepare
from dicom_node.settings.settings import Settings, load_settings
from tests.support.listeners import free_port

CONFIGURATION = """
[node]
ae_title = "CONFORM"
host = "127.0.0.1"
port = {port}
institution = "A & B <Clinic>"
{node}
[[peers]]
name = "pacs"
ae_title = "PACS"
host = "127.0.0.1"
port = 104
{peer}
[[peers]]
name = "probe"
ae_title = "PROBE"
[[hl7]]
name = "ris"
host = "127.0.0.1"
port = 2575
zds = true
[[routes]]
name = "chest"
outputs = ["seg", "sr", "text_sr", "sc", "gsps", "kos", "pdf"]
send_to = ["pacs"]
notify = ["ris"]
"""
Configure = Callable[..., Settings]


@pytest.fixture
def configure(tmp_path: Path) -> Configure:
    """Load the configuration with more keys of the node's and of the peer's."""
    prepare()

    def load(node: str = "", peer: str = "") -> Settings:
        config = tmp_path / "node.toml"
        config.write_text(CONFIGURATION.format(port=free_port(), node=node, peer=peer))
        return load_settings(config)

    return load


def dicom(settings: Settings) -> Document:
    return dicom_statement(settings, "1.2.3", "2026-11-21")


def ihe(settings: Settings) -> Document:
    return ihe_statement(settings, "1.2.3", "2026-11-21")


def table(document: Document, title: str) -> Table:
    """Find the one table with a title that starts so."""
    every = [
        one
        for _, _, section in document.numbered()
        for one in section.content
        if isinstance(one, Table) and one.title.startswith(title)
    ]
    assert len(every) == 1, f"{len(every)} tables {title!r}"
    return every[0]


def lookup(found: Table, key: int = 0, value: int = 1) -> dict[str, str]:
    """Read a table as a mapping from one column to another."""
    return {row[key]: row[value] for row in found.rows}
