"""Schema version 2: results of two roles and several points; old rows stay."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from dicom_node.domain.findings import (
    Algorithm,
    CodedConcept,
    Finding,
    Findings,
    OperatingPoint,
    Presence,
)
from dicom_node.domain.operations.models import Judgement, ModelRef, Pair
from dicom_node.storage.database.engine import migrate, open_database
from dicom_node.storage.database.migrations.runner import HEAD, MIGRATIONS
from dicom_node.storage.database.schema import results
from dicom_node.storage.database.transactions import transaction
from dicom_node.storage.queue.ledger import SqlLedger
from dicom_node.storage.queue.shadow import read_by_both, store_shadow
from tests.support.postgres_server import postgres_server
from tests.support.rows import ONE_JOB, arrival, claimed, outcome, rows

LIVE, CHALLENGER = ModelRef("1.0", "ab" * 32), ModelRef("2.0", "ab" * 32)
PNEUMOTHORAX = CodedConcept("36118008", "SCT", "Pneumothorax")


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """An empty database."""
    if request.param == "sqlite":
        opened = open_database(f"sqlite:///{tmp_path}/node.db")
        yield opened
        opened.dispose()
        return
    with postgres_server() as server:
        opened = open_database(server.create("lifecycle"))
        yield opened
        opened.dispose()


def said(ref: ModelRef, probability: float, point: str = "balanced") -> Findings:
    presence = Presence.PRESENT if probability >= 0.5 else Presence.ABSENT
    judged = OperatingPoint(point, 0.5, 0.9, 0.9)
    finding = Finding(PNEUMOTHORAX, presence, probability, judged, PNEUMOTHORAX)
    return Findings(Algorithm("pneumothorax", ref.version, ref.sha256), (finding,))


def test_results_of_version_1_stay_and_are_live(engine: Engine) -> None:
    migrate(engine, MIGRATIONS[:1])
    ledger = SqlLedger(engine)
    for number in (1, 2):
        ledger.record(arrival(number), ONE_JOB)
    with transaction(engine) as conn:
        for number in (1, 2):
            conn.execute(
                text(
                    "INSERT INTO results (instance_id, pipeline, version, model_sha256,"
                    " findings, created_at) VALUES (:id, 'pneumothorax', '1.0', 'ab', :words, 5.0)"
                ),
                {"id": number, "words": f'{{"n":{number}}}'},
            )
    assert migrate(engine) == HEAD - 1
    kept = rows(engine, results)
    assert [(row["instance_id"], row["findings"]) for row in kept] == [
        (1, '{"n":1}'),
        (2, '{"n":2}'),
    ]
    assert {(row["role"], row["point"]) for row in kept} == {("live", "")}


def test_only_what_both_models_read_is_compared(engine: Engine) -> None:
    migrate(engine)
    ledger = SqlLedger(engine)
    live = {1: (0.9, 0.9), 2: (0.2, 0.2), 3: (0.7, 0.7)}
    for number, probabilities in live.items():
        ledger.record(arrival(number), ONE_JOB)
        claim = claimed(ledger)
        points = zip(probabilities, ("balanced", "high_sensitivity"), strict=True)
        findings = tuple(said(LIVE, probability, point) for probability, point in points)
        ledger.finish_jobs(claim, outcome(number, findings=findings), 2000.0)
    store_shadow(engine, 1, said(CHALLENGER, 0.4), 3000.0)
    store_shadow(engine, 1, said(CHALLENGER, 0.4), 3001.0)  # again: the first stays
    store_shadow(engine, 2, said(CHALLENGER, 0.1), 3000.0)
    store_shadow(engine, 3, said(ModelRef("3.0", "cd" * 32), 0.1), 3000.0)  # another model
    assert read_by_both(engine, "pneumothorax", LIVE, CHALLENGER) == (
        Pair("1.2.3.1", "Pneumothorax", Judgement(True, 0.9), Judgement(False, 0.4)),
        Pair("1.2.3.2", "Pneumothorax", Judgement(False, 0.2), Judgement(False, 0.1)),
    )
    assert read_by_both(engine, "pneumonia", LIVE, CHALLENGER) == ()
    assert [row["role"] for row in rows(engine, results)].count("live") == 6
