"""A reading that comes back after another one is a new generation, on every database."""

from dataclasses import replace

from sqlalchemy import Engine

from dicom_node.domain.findings import Algorithm, Findings
from dicom_node.storage.database.schema import results
from dicom_node.storage.queue.history import history_of
from dicom_node.storage.queue.ledger import SqlLedger
from dicom_node.storage.queue.requeue import reanalyse
from tests.support.rows import READ, claimed, column, finished, outcome

OTHER = Findings(Algorithm("pneumothorax", "2.0", "cd" * 32))


def read_by(engine: Engine, findings: Findings, now: float) -> int:
    """Have image 1 read again; gives the generation that the reading is of."""
    ledger = SqlLedger(engine)
    reanalyse(ledger.engine, study_uid="1.2.1", since=0.0, now=now)
    claim = claimed(ledger, now)
    counted = history_of(engine, claim.instance_id).with_generation(findings)
    ledger.finish_jobs(claim, outcome(1, kinds=(), findings=(counted, counted)), now)
    return counted.generation


def test_only_what_another_reading_replaced_counts_on(engine: Engine) -> None:
    finished(SqlLedger(engine), findings=(READ,), now=2000.0)
    turns = (READ, OTHER, OTHER, READ, READ, OTHER, READ)
    made = [read_by(engine, one, 2001.0 + n) for n, one in enumerate(turns)]
    assert made == [0, 0, 0, 1, 1, 1, 2]
    assert sorted(map(str, column(engine, results, "version"))) == ["1.0", "2.0"]


def test_another_pipeline_replaces_nothing(engine: Engine) -> None:
    finished(SqlLedger(engine), findings=(READ,), now=2000.0)
    heart = Findings(Algorithm("anatomy", "1.0", "ef" * 32))
    assert [read_by(engine, one, 2001.0 + n) for n, one in enumerate((heart, READ, heart))] == [
        0,
        0,
        0,
    ]
    unknown = replace(READ, algorithm=replace(READ.algorithm, model_sha256=""))
    assert history_of(engine, 1).with_generation(unknown).generation == 0
