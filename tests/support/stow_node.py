"""A node that listens for STOW-RS, without its workers."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from dicom_node.assembly import parts as node
from dicom_node.roles.dicomweb import server
from dicom_node.settings.settings import load_settings
from tests.support.listeners import free_port
from tests.support.stow_callers import StowNode

CONFIGURATION = """\
[node]
ae_title = "CXRAI"
[receive]
min_free_gb = 0
unknown_callers = "{unknown}"
[dicomweb]
port = {port}
max_object_mb = 1
max_request_mb = 3
max_requests = 2
{more}
[[peers]]
name = "xray"
ae_title = "XRAY1"
host = "{host}"
{peer}
[[routes]]
name = "chest"
callers = ["XRAY1"]
pipelines = ["pneumothorax"]
"""

Start = Callable[..., StowNode]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a node that knows `host`; `more` goes into [dicomweb], `peer` into [[peers]]."""
    with ExitStack() as ends:

        def started(
            more: str = "", host: str = "127.0.0.1", unknown: str = "reject", peer: str = ""
        ) -> StowNode:
            config = tmp_path / "node.toml"
            values = {"port": free_port(), "more": more, "host": host, "unknown": unknown}
            values["peer"] = peer
            config.write_text(CONFIGURATION.format(**values))
            parts = node.open_parts(load_settings(config), migrate=True)
            ends.callback(parts.close)
            scp = server(parts)
            scp.start()
            ends.callback(scp.stop, 5)
            return StowNode(scp, parts.engine, tmp_path)

        yield started
