from pathlib import Path
from typing import NoReturn

from dicom_node import housekeeping, node
from dicom_node.adapters.schema import deliveries
from dicom_node.settings import load_settings
from tests.engine.rows import finished, rows


def never(*_: object) -> NoReturn:
    raise AssertionError("its own thread sends")


def test_results_for_a_lost_destination_become_dead_letters_at_once(tmp_path: Path) -> None:
    config = tmp_path / "node.toml"
    config.write_text('node.data_dir = "var"')
    parts = node.open_parts(load_settings(config), migrate=True)
    for number in range(1, 4):
        finished(parts.ledger, number, kinds=("sr", "oru"))
    housekeeping._bury_homeless(parts, {"ris": never})
    states = {(row["destination"], row["state"]) for row in rows(parts.engine, deliveries)}
    assert states == {("pacs", "discarded"), ("ris", "available")}
    parts.close()
