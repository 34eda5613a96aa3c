"""A PACS with small radiographs, and a node that never received them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dicom_node.settings.settings import load_settings
from dicom_node.storage.database.engine import migrate, open_database
from tests.support.listeners import Orthanc, free_port

CONFIGURATION = """\
[node]
host = "127.0.0.1"
port = {port}
[receive]
min_free_gb = 0.01
[console]
port = {console}
[logs]
format = "json"
[[peers]]
name = "pacs"
ae_title = "ORTHANC"
host = "127.0.0.1"
port = {pacs_port}
[[routes]]
name = "chest"
"""


@pytest.fixture(scope="session")
def node_port() -> int:
    """Where the PACS believes the node's receiver to be."""
    return free_port()


@pytest.fixture(scope="session")
def running_pacs(node_port: int) -> Iterator[Orthanc]:
    modalities = {"node": ("CXRAI", node_port)}
    with Orthanc(dicom_web=True, modalities=modalities) as running:
        yield running


@pytest.fixture
def pacs(running_pacs: Orthanc) -> Orthanc:
    """Orthanc, empty."""
    for study in running_pacs.rest("/studies"):
        running_pacs.content(f"/studies/{study}", method="DELETE")
    return running_pacs


@pytest.fixture
def config(tmp_path: Path, pacs: Orthanc, node_port: int) -> Path:
    """A node's configuration, its database migrated."""
    path = tmp_path / "node.toml"
    path.write_text(
        CONFIGURATION.format(port=node_port, console=free_port(), pacs_port=pacs.dicom_port)
    )
    engine = open_database(load_settings(path).database.url)
    migrate(engine)
    engine.dispose()
    return path
