"""What retention removes is gone from the disk, not only from sight."""

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from dicom_node.assembly import parts as node
from dicom_node.domain.study import Instance, InstanceRef
from dicom_node.domain.work import Admission, Arrival
from dicom_node.operations import schedule
from dicom_node.settings.settings import load_settings
from dicom_node.storage.database.schema import metadata
from tests.abuse.privacy.marks import ACCESSION, PATIENT_ID

CONFIGURATION = """
[node]
data_dir = "var"
[archive]
key_file = "keys"
[audit]
file = "trail/audit.log"
[retention]
instances_days = 1
results_days = 1
log_days = {log_days}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "keys").write_text("A" * 43 + "=\n")
    (tmp_path / "keys").chmod(0o600)
    return tmp_path / "node.toml"


def opened(config: Path, log_days: float) -> node.Parts:
    config.write_text(CONFIGURATION.format(log_days=log_days))
    return node.open_parts(load_settings(config), migrate=True)


def receive(parts: node.Parts, number: int, at: float) -> str:
    ref = InstanceRef("1.2.840.10008.5.1.4.1.1.1.1", f"1.2.3.{number}")
    instance = Instance(ref, "1.2", "1.2.3", "1.2.840.10008.1.2.1", patient_id=PATIENT_ID)
    instance = replace(instance, accession_number=ACCESSION)
    file = parts.archive.put([b"film %d" % number], "instances", ".dcm")
    arrival = Arrival(instance, file, "XRAY1", "CXRAI", "127.0.0.1", at)
    parts.ledger.record(arrival, Admission(not_analysed="no rule"))
    return file.key


def bytes_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_files_go_first_and_rows_with_every_byte_of_them_later(config: Path) -> None:
    parts = opened(config, log_days=30)
    keys = [receive(parts, number, at=1e9) for number in range(20)]
    parts.close()
    parts = opened(config, log_days=30)
    var = config.parent / "var"
    assert PATIENT_ID.encode() in bytes_of(var)
    # received long ago, so files and rows go at once
    schedule._expire(parts)
    assert not [key for key in keys if (var / "archive" / key).exists()]
    for mark in (PATIENT_ID, ACCESSION, "1.2.3.7"):
        assert mark.encode() not in bytes_of(var), mark
    parts.close()
    trail = (config.parent / "trail" / "audit.log").read_text()
    assert trail.count("DICOM Study Deleted") == 1
    assert "Object Security Attributes Changed" in trail
    assert PATIENT_ID in trail


def test_rows_outlive_files_as_long_as_configured(config: Path) -> None:
    parts = opened(config, log_days=36_500)
    receive(parts, 1, at=1e9)
    schedule._expire(parts)
    assert PATIENT_ID.encode() in bytes_of(config.parent / "var")
    parts.close()


def test_every_table_that_holds_an_instance_is_pruned_with_it(config: Path) -> None:
    parts = opened(config, log_days=30)
    receive(parts, 1, at=1e9)
    linked = [name for name, table in metadata.tables.items() if "instance_id" in table.c]
    parts.close()
    database = sqlite3.connect(config.parent / "var" / "node.db")
    real = [
        name
        for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        if any(row[1] == "instance_id" for row in database.execute(f"PRAGMA table_info({name})"))
    ]
    database.close()
    pruned = {"jobs", "results", "objects", "deliveries", "escalations", "commitments"}
    assert set(linked) | set(real) == pruned
