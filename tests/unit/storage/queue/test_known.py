"""What the node remembers, so that nothing is fetched twice."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from dicom_node.domain.study import Instance, InstanceRef
from dicom_node.domain.work import Admission, Arrival, StoredFile
from dicom_node.storage.database.engine import migrate, open_database
from dicom_node.storage.database.schema import instances, objects
from dicom_node.storage.queue.callers import PART, known_uids
from dicom_node.storage.queue.ledger import SqlLedger

CR = "1.2.840.10008.5.1.4.1.1.1"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    opened = open_database(f"sqlite:///{tmp_path}/node.db")
    migrate(opened)
    yield opened
    opened.dispose()


def record(engine: Engine, uid: str) -> None:
    instance = Instance(InstanceRef(CR, uid), "1.2", "1.2.1", "1.2.840.10008.1.2.1")
    arrival = Arrival(instance, StoredFile(uid, "0" * 64, 1), "PACS", "CXRAI", "127.0.0.1", 1.0)
    SqlLedger(engine).record(arrival, Admission(not_analysed="test"))


def test_what_was_received_is_known_also_without_its_file(engine: Engine) -> None:
    record(engine, "1.1")
    record(engine, "1.2")
    with engine.begin() as conn:
        conn.execute(instances.update().values(expired_at=2.0))
    assert known_uids(engine, ["1.1", "1.2", "1.3"]) == {"1.1", "1.2"}
    assert known_uids(engine, []) == set()


def test_the_nodes_own_results_are_known(engine: Engine) -> None:
    record(engine, "1.1")
    made = {
        "instance_id": 1,
        "kind": "sc",
        "sop_class_uid": "1.2.840.10008.5.1.4.1.1.7",
        "sop_instance_uid": "2.25.1",
        "series_uid": "2.25.2",
        "file_key": "k",
        "file_sha256": "0" * 64,
        "file_size": 1,
        "created_at": 1.0,
    }
    with engine.begin() as conn:
        conn.execute(objects.insert().values(made))
    assert known_uids(engine, ["2.25.1", "2.25.2"]) == {"2.25.1"}


def test_long_lists_and_odd_uids(engine: Engine) -> None:
    odd = "9" * 300
    record(engine, odd)
    record(engine, f"1.{2 * PART}")
    uids = [f"1.{n}" for n in range(2 * PART + 1)]
    assert known_uids(engine, [*uids, odd]) == {f"1.{2 * PART}", odd}
