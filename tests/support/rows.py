"""Values to put into a ledger, and what a test asks of its rows."""

from collections.abc import Sequence
from typing import TypedDict, Unpack

from sqlalchemy import Engine, Table, select

from dicom_node.domain.findings import Algorithm, Findings
from dicom_node.domain.study import Instance, InstanceRef
from dicom_node.domain.work import (
    Admission,
    Arrival,
    Claim,
    DeliveryBatch,
    NewDelivery,
    NewJob,
    ObjectKind,
    Outcome,
    Priority,
    Recorded,
    ReportObject,
    StoredFile,
)
from dicom_node.storage.database.transactions import transaction
from dicom_node.storage.queue.ledger import SqlLedger

CR = "1.2.840.10008.5.1.4.1.1.1"
ONE_JOB = Admission(jobs=(NewJob("pneumothorax", ("chest",), "routine"),))
TWO_JOBS = Admission(
    jobs=(
        NewJob("pneumothorax", ("chest", "ward"), "high"),
        NewJob("anatomy", ("chest",), "high"),
    )
)
READ = Findings(Algorithm("pneumothorax", "1.0", "ab" * 32))
DECLINED = Findings(Algorithm("pneumothorax", "1.0", ""), not_analysed="image is blank")


def jobs_of(priority: Priority) -> Admission:
    return Admission(jobs=(NewJob("pneumothorax", ("chest",), priority),))


def arrival(
    number: int,
    *,
    at: float = 1000.0,
    study: int | None = None,
    content: str = "",
    patient: str = "P",
) -> Arrival:
    ref = InstanceRef(CR, f"1.2.3.{number}")
    study_uid = f"1.2.{number if study is None else study}"
    instance = Instance(ref, study_uid, f"{study_uid}.1", "1.2.840.10008.1.2.1", patient_id=patient)
    sha256 = (content or f"{number:x}").rjust(64, "0")
    return Arrival(instance, StoredFile(f"in/{sha256}", sha256, 7), "CR1", "CXRAI", "10.0.0.9", at)


def outcome(
    number: int,
    *,
    kinds: Sequence[ObjectKind] = ("seg", "sr", "oru"),
    findings: tuple[Findings, ...] = (READ,),
    after_objects: bool = False,
    priority: Priority = "routine",
) -> Outcome:
    """What a job leaves: DICOM objects for the PACS, an ORU for the RIS."""
    made = tuple(ReportObject(kind, "1.2.9", f"9.{number}.{kind}", "9.1", b"") for kind in kinds)
    sent = tuple(
        NewDelivery(one.sop_instance_uid, "ris", "mllp", priority, after_objects)
        if one.kind == "oru"
        else NewDelivery(one.sop_instance_uid, "pacs", "dicom", priority)
        for one in made
    )
    files = tuple(StoredFile(f"out/{one.sop_instance_uid}", "cd" * 32, 3) for one in made)
    return Outcome(findings, tuple(zip(made, files, strict=True)), sent)


class Wanted(TypedDict, total=False):
    """What `finished` passes on to `outcome`."""

    kinds: Sequence[ObjectKind]
    findings: tuple[Findings, ...]
    after_objects: bool
    priority: Priority


def claimed(ledger: SqlLedger, now: float = 2000.0, worker: str = "w1") -> Claim:
    claim = ledger.claim_jobs(worker, now, 60.0)
    assert claim is not None
    return claim


def batch(ledger: SqlLedger, now: float = 3000.0, worker: str = "d1") -> DeliveryBatch:
    taken = ledger.claim_deliveries(worker, now, 60.0)
    assert taken is not None
    return taken


def finished(
    ledger: SqlLedger, number: int = 1, now: float = 2000.0, **wanted: Unpack[Wanted]
) -> Claim:
    """Take one arrival through recording, claim and finish."""
    assert ledger.record(arrival(number), ONE_JOB) is Recorded.NEW
    claim = claimed(ledger, now)
    ledger.finish_jobs(claim, outcome(number, **wanted), now)
    return claim


def rows(engine: Engine, table: Table) -> list[dict[str, object]]:
    with transaction(engine, writing=False) as conn:
        return [
            dict(row._mapping) for row in conn.execute(select(table).order_by(*table.primary_key))
        ]


def column(engine: Engine, table: Table, name: str) -> list[object]:
    return [row[name] for row in rows(engine, table)]
