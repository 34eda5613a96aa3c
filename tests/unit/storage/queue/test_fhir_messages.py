"""FHIR messages in the outbox: each by itself, and after the objects if asked."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from dicom_node.domain.work import (
    Acknowledgement,
    NewDelivery,
    Outcome,
    ReportObject,
    StoredFile,
)
from dicom_node.storage.database.engine import migrate, open_database
from dicom_node.storage.queue.ledger import SqlLedger
from tests.support.rows import ONE_JOB, READ, arrival, claimed


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    opened = open_database(f"sqlite:///{tmp_path}/node.db")
    migrate(opened)
    yield opened
    opened.dispose()


def left_behind() -> Outcome:
    """An SR for the PACS, an ORU for the RIS, and two FHIR messages that wait for the SR."""
    sent = (
        NewDelivery("9.1", "pacs", "dicom", "routine"),
        NewDelivery("9.2", "ris", "mllp", "routine"),
        NewDelivery("9.3", "emr", "fhir", "routine", after_objects=True),
        NewDelivery("9.4", "emr", "fhir", "routine", after_objects=True),
    )
    kinds = {"dicom": "sr", "mllp": "oru", "fhir": "fhir"}
    made = tuple(
        (
            ReportObject(kinds[one.protocol], "1", one.sop_instance_uid, "9", b""),  # type: ignore[arg-type] # of the three
            StoredFile(f"out/{one.sop_instance_uid}", "cd" * 32, 3),
        )
        for one in sent
    )
    return Outcome((READ,), made, sent)


def test_messages_wait_for_objects_and_not_for_each_other(engine: Engine) -> None:
    ledger = SqlLedger(engine)
    ledger.record(arrival(1), ONE_JOB)
    ledger.finish_jobs(claimed(ledger), left_behind(), 2000.0)
    assert ledger.claim_deliveries("d", 3000.0, 60.0, "emr") is None
    batch = ledger.claim_deliveries("d", 3000.0, 60.0, "pacs")
    assert batch is not None
    ledger.finish_deliveries(batch, (Acknowledgement(batch.deliveries[0].id, "0000"),), (), 3001.0)
    for uid in ("9.3", "9.4"):  # the ORU still waits
        single = ledger.claim_deliveries("d", 3002.0, 60.0, "emr")
        assert single is not None
        assert (single.protocol, [one.sop_instance_uid for one in single.deliveries]) == (
            "fhir",
            [uid],
        )
    assert ledger.claim_deliveries("d", 3002.0, 60.0, "ris") is not None
