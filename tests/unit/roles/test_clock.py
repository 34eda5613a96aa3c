"""Every role takes the time that all hosts share, never its own host's."""

from dataclasses import replace
from pathlib import Path

from sqlalchemy import select

from dicom_node.assembly import parts as node
from dicom_node.assembly.negotiation import refusal_learner
from dicom_node.domain.exchange.substitution import SOP_CLASSES
from dicom_node.domain.work import Delivery, StoredFile
from dicom_node.roles.dicomweb import server
from dicom_node.settings.settings import load_settings
from dicom_node.storage.database.schema import capabilities, instances
from dicom_node.storage.database.transactions import transaction
from tests.support.listeners import free_port
from tests.support.stow_callers import StowNode, image, multipart

NOW = 1_000_000.0
CONFIGURATION = """\
[receive]
min_free_gb = 0
unknown_callers = "accept"
[dicomweb]
port = {port}
[[stow]]
name = "cloud"
url = "http://127.0.0.1:1"
"""


def test_stow_and_negotiation_take_the_shared_time(tmp_path: Path) -> None:
    config = tmp_path / "node.toml"
    config.write_text(CONFIGURATION.format(port=free_port()))
    opened = node.open_parts(load_settings(config), migrate=True)
    parts = replace(opened, clock=lambda: NOW)
    scp = server(parts)
    scp.start()
    try:
        assert StowNode(scp, parts.engine, tmp_path).post(multipart([image("1.2.3")]))[0] == 200
        seg, file = SOP_CLASSES["seg"], StoredFile("k", "", 0)
        refused = Delivery(1, "cloud", "stow", 1, "seg", seg, "1.2.4", "1.2", file)
        assert refusal_learner(parts)(refused)  # an overlay may do
        with transaction(parts.engine, writing=False) as conn:
            assert conn.scalars(select(instances.c.received_at)).all() == [NOW]
            assert conn.scalars(select(capabilities.c.asked_at)).all() == [NOW]
    finally:
        scp.stop(5)
        parts.close()
