"""A configuration with all outputs, and what its statements say."""

from pathlib import Path

import pytest

from dicom_node.network.dimse.options import prepare
from dicom_node.settings.settings import Settings, load_settings
from tests.support.listeners import free_port
from tests.support.statements import Configure

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


@pytest.fixture
def configure(tmp_path: Path) -> Configure:
    """Load the configuration with more keys of the node's and of the peer's."""
    prepare()

    def load(node: str = "", peer: str = "") -> Settings:
        config = tmp_path / "node.toml"
        config.write_text(CONFIGURATION.format(port=free_port(), node=node, peer=peer))
        return load_settings(config)

    return load
