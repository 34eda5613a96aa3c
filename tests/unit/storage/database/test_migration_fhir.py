"""Deliveries keep their rows and numbers when their table learns of FHIR."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from dicom_node.domain.errors import GiveUp
from dicom_node.storage.database.engine import migrate, open_database
from dicom_node.storage.database.migrations.runner import MIGRATIONS
from dicom_node.storage.database.schema import deliveries
from dicom_node.storage.database.transactions import transaction
from dicom_node.storage.queue.ledger import SqlLedger
from tests.support.postgres_server import PostgresServer
from tests.support.rows import rows

BEFORE = MIGRATIONS[:3]
INSTANCE = """INSERT INTO instances (sop_instance_uid, study_uid, header, file_key, file_sha256,
    file_size, calling_ae, called_ae, host, received_at)
    VALUES ('1.2.3', '1.2', '{}', 'k', 'ab', 1, 'A', 'B', 'h', 1)"""
OBJECT = """INSERT INTO objects (instance_id, kind, sop_class_uid, sop_instance_uid, series_uid,
    file_key, file_sha256, file_size, created_at)
    VALUES (1, 'sr', '1', '9.9', '9', 'k', 'ab', 1, 1)"""
DELIVERY = """INSERT INTO deliveries (object_id, instance_id, study_uid, destination, protocol,
    after_objects, priority, order_at, due_at, state, created_at, acknowledged)
    VALUES (1, 1, '1.2', :destination, :protocol, FALSE, 'routine', 1, 0, 'available', 1, 'AA')"""


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def before(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """A database as it was, with deliveries 1, 2 and, deleted again, 3."""
    if request.param == "sqlite":
        engine = open_database(f"sqlite:///{tmp_path}/node.db")
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        engine = open_database(server.create("before"))
    migrate(engine, BEFORE)
    with transaction(engine) as conn:
        conn.execute(text(INSTANCE))
        conn.execute(text(OBJECT))
        for destination, protocol in (("pacs", "dicom"), ("ris", "mllp"), ("old", "stow")):
            conn.execute(text(DELIVERY), {"destination": destination, "protocol": protocol})
        conn.execute(text("DELETE FROM deliveries WHERE id = 3"))
    yield engine
    engine.dispose()


def add(engine: Engine, destination: str, protocol: str) -> None:
    with transaction(engine) as conn:
        conn.execute(text(DELIVERY), {"destination": destination, "protocol": protocol})


def test_rows_numbers_and_rules_stay_and_fhir_is_new(before: Engine) -> None:
    with pytest.raises(GiveUp):
        add(before, "emr", "fhir")
    migrate(before)
    add(before, "emr", "fhir")
    kept = rows(before, deliveries)
    assert [(row["destination"], row["protocol"]) for row in kept] == [
        ("pacs", "dicom"),
        ("ris", "mllp"),
        ("emr", "fhir"),
    ]
    numbers = [row["id"] for row in kept]
    assert numbers[:2] == [1, 2]
    assert numbers[2] > 3  # type: ignore[operator] # a number that was given is not given again
    assert {row["acknowledged"] for row in kept} == {"AA"}
    for destination, protocol in (("x", "smtp"), ("emr", "fhir")):  # unknown; twice the same
        with pytest.raises(GiveUp):
            add(before, destination, protocol)
    claimed = SqlLedger(before).claim_deliveries("d", 10.0, 60.0, "pacs")
    assert claimed is not None
    assert claimed.deliveries[0].id == 1
