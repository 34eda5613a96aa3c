from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from dicom_node.domain.admission import Route
from dicom_node.domain.study import Instance, InstanceRef, Orientation
from dicom_node.domain.work import AGEING_S, PRIORITY_RANK, Admission, Failure, Priority, Recorded
from dicom_node.storage.database.rows import header_json, instance_from
from dicom_node.storage.database.schema import alarms, deliveries, instances, jobs, objects, results
from dicom_node.storage.queue.jobs import order_at
from dicom_node.storage.queue.ledger import SqlLedger
from dicom_node.storage.queue.requeue import readmit
from dicom_node.storage.status.retention import SqlRetention
from tests.support.rows import (
    DECLINED,
    ONE_JOB,
    READ,
    TWO_JOBS,
    arrival,
    claimed,
    column,
    finished,
    jobs_of,
    outcome,
    rows,
)


def test_an_arrival_comes_back_whole_in_its_claim(ledger: SqlLedger) -> None:
    sent = arrival(1)
    instance = replace(
        sent.instance,
        orientation=Orientation("R", "F"),
        rows=2500,
        burned_in=True,
        deviations=("PatientAge is not a VR AS",),
    )
    sent = replace(sent, instance=instance)
    assert ledger.record(sent, TWO_JOBS) is Recorded.NEW
    claim = ledger.claim_jobs("w1", 2000.0, 60.0)
    assert claim is not None
    assert claim.arrival == sent
    assert (claim.worker, claim.lease_until) == ("w1", 2060.0)
    assert [(job.pipeline, job.routes, job.attempt) for job in claim.jobs] == [
        ("pneumothorax", ("chest", "ward"), 1),
        ("anatomy", ("chest",), 1),
    ]
    assert ledger.claim_jobs("w2", 2000.0, 60.0) is None


def test_without_jobs_the_reason_is_kept(ledger: SqlLedger, engine: Engine) -> None:
    ledger.record(arrival(1), Admission(not_analysed="view LL, not frontal"))
    assert column(engine, instances, "outcome") == ["not analysed: view LL, not frontal"]
    assert ledger.claim_jobs("w1", 2000.0, 60.0) is None


def test_the_same_instance_again_changes_nothing(ledger: SqlLedger, engine: Engine) -> None:
    ledger.record(arrival(1), ONE_JOB)
    again = replace(arrival(1, at=1500.0), calling_ae="CR2", host="10.0.0.10")
    assert ledger.record(again, TWO_JOBS) is Recorded.SAME
    assert len(rows(engine, instances)) == len(rows(engine, jobs)) == 1
    assert column(engine, instances, "received_at") == [1000.0]
    assert rows(engine, alarms) == []


LATERAL = Admission(not_analysed="view LL, not frontal")


def test_a_film_that_no_route_took_is_read_when_it_comes_again(
    ledger: SqlLedger, engine: Engine
) -> None:
    ledger.record(arrival(1), LATERAL)
    assert ledger.record(arrival(1, at=1500.0), LATERAL) is Recorded.SAME
    assert ledger.record(arrival(1, at=1600.0), ONE_JOB) is Recorded.SAME
    assert ledger.record(arrival(1, at=1700.0), TWO_JOBS) is Recorded.SAME
    assert column(engine, instances, "outcome") == [None]
    claim = ledger.claim_jobs("w1", 2000.0, 60.0)
    assert claim is not None and len(claim.jobs) == 1


def test_a_film_that_comes_again_after_it_expired_is_kept_again(
    ledger: SqlLedger, engine: Engine
) -> None:
    ledger.record(arrival(1), LATERAL)
    retention = SqlRetention(engine)
    (kept,) = retention.old_files("instances", 1100.0, 1100.0, 10)
    retention.forget_files("instances", [kept.row_id], 1200.0)
    assert retention.known_keys([kept.key]) == set()
    assert ledger.record(arrival(1, at=1500.0), ONE_JOB) is Recorded.SAME
    assert retention.known_keys([kept.key]) == {kept.key}
    assert column(engine, instances, "received_at") == [1500.0]
    assert ledger.claim_jobs("w1", 2000.0, 60.0) is not None


@pytest.mark.parametrize(
    ("chosen", "count"),
    [
        ({}, 2),
        ({"since": 1500.0}, 1),
        ({"study_uid": "1.2.1"}, 1),
        ({"reason": "view"}, 1),
        ({"reason": "modality"}, 1),
        ({"reason": "vi%"}, 0),
    ],
)
def test_films_that_no_route_took_are_queued_on_request(
    chosen: dict[str, Any], count: int, ledger: SqlLedger, engine: Engine
) -> None:
    for sent, admission in (
        (arrival(1), LATERAL),
        (arrival(2, at=1600.0), Admission(not_analysed="modality XC not in route")),
        (arrival(3), ONE_JOB),
    ):
        film = replace(sent.instance, rows=2000, columns=2000)
        ledger.record(replace(sent, instance=film), admission)
    taking = Route("new", modality=("",), body_part=("",))
    assert readmit(engine, (Route("other", callers=("X",)),), now=1800.0) == 0
    assert readmit(engine, (taking,), now=1900.0, **chosen) == count
    assert readmit(engine, (taking,), now=1900.0, **chosen) == 0
    assert len(rows(engine, jobs)) == 1 + count


def test_other_content_or_patient_is_a_conflict(ledger: SqlLedger, engine: Engine) -> None:
    ledger.record(arrival(1), ONE_JOB)
    first = rows(engine, instances)
    for other in (arrival(1, content="ff"), arrival(1, patient="Q"), arrival(1, study=77)):
        assert ledger.record(other, ONE_JOB) is Recorded.CONFLICT
    assert rows(engine, instances) == first
    (alarm,) = rows(engine, alarms)
    assert (alarm["kind"], alarm["times"]) == ("conflict", 3)
    assert "1.2.3.1" in str(alarm["words"])


def test_finishing_leaves_everything_in_its_table(ledger: SqlLedger, engine: Engine) -> None:
    finished(ledger, now=2000.0)
    assert column(engine, jobs, "state") == ["completed"]
    assert column(engine, jobs, "finished_at") == [2000.0]
    assert column(engine, instances, "outcome") == ["analysed"]
    assert column(engine, results, "pipeline") == ["pneumothorax"]
    assert column(engine, objects, "kind") == ["seg", "sr", "oru"]
    assert [
        (row["destination"], row["protocol"], row["state"]) for row in rows(engine, deliveries)
    ] == [
        ("pacs", "dicom", "available"),
        ("pacs", "dicom", "available"),
        ("ris", "mllp", "available"),
    ]


def test_an_image_that_all_pipelines_declined_says_why(ledger: SqlLedger, engine: Engine) -> None:
    finished(ledger, findings=(DECLINED, DECLINED), kinds=())
    assert column(engine, instances, "outcome") == ["not analysed: image is blank"]


def test_one_reading_pipeline_makes_the_image_analysed(ledger: SqlLedger, engine: Engine) -> None:
    finished(ledger, findings=(DECLINED, READ))
    assert column(engine, instances, "outcome") == ["analysed"]


def test_objects_and_deliveries_that_exist_stay(ledger: SqlLedger, engine: Engine) -> None:
    finished(ledger, 1)
    before = rows(engine, objects), rows(engine, deliveries)
    ledger.record(arrival(2), ONE_JOB)
    ledger.finish_jobs(claimed(ledger), outcome(1), 9000.0)
    assert (rows(engine, objects), rows(engine, deliveries)) == before


def test_a_postponed_job_waits_for_its_time(ledger: SqlLedger) -> None:
    ledger.record(arrival(1), ONE_JOB)
    ledger.fail_jobs(claimed(ledger), Failure(2500.0, "TryAgain: archive away"), 2000.0)
    assert ledger.claim_jobs("w1", 2499.0, 60.0) is None
    assert claimed(ledger, 2500.0).jobs[0].attempt == 2


def test_a_discarded_job_is_shown(ledger: SqlLedger, engine: Engine) -> None:
    ledger.record(arrival(1), ONE_JOB)
    ledger.fail_jobs(claimed(ledger), Failure(None, "GiveUp: model is gone"), 2000.0)
    assert ledger.claim_jobs("w1", 9e9, 60.0) is None
    assert column(engine, jobs, "last_error") == ["GiveUp: model is gone"]
    assert column(engine, instances, "outcome") == ["not analysed: failed: GiveUp: model is gone"]
    assert column(engine, alarms, "kind") == ["job_discarded"]


def test_urgent_comes_first_then_the_oldest(ledger: SqlLedger) -> None:
    came: list[tuple[Priority, float]] = [
        ("low", 1000),
        ("routine", 1002),
        ("urgent", 1003),
        ("routine", 1001),
    ]
    for number, (priority, at) in enumerate(came, start=1):
        ledger.record(arrival(number, at=at), jobs_of(priority))
    order = [claimed(ledger).arrival.instance.ref.sop_instance_uid for _ in range(4)]
    assert order == ["1.2.3.3", "1.2.3.4", "1.2.3.2", "1.2.3.1"]


def test_waiting_long_enough_beats_priority(ledger: SqlLedger) -> None:
    worth_s = AGEING_S * (PRIORITY_RANK["low"] - PRIORITY_RANK["urgent"])
    ledger.record(arrival(1, at=1000.0), jobs_of("low"))
    ledger.record(arrival(2, at=1000.0 + worth_s - 1), jobs_of("urgent"))
    ledger.record(arrival(3, at=1000.0 + worth_s + 1), jobs_of("urgent"))
    order = [claimed(ledger, 5000.0).arrival.instance.ref.sop_instance_uid for _ in range(3)]
    assert order == ["1.2.3.2", "1.2.3.1", "1.2.3.3"]


priorities = st.sampled_from(list(PRIORITY_RANK))
waits = st.lists(st.tuples(priorities, st.integers(0, 100_000)), min_size=2, max_size=6)


@given(waiting=waits, later=st.integers(0, 100_000))
def test_the_fixed_order_is_rank_less_waiting(
    waiting: list[tuple[Priority, int]], later: int
) -> None:
    now = 100_000.0 + later

    def rank(one: tuple[Priority, int]) -> float:
        return PRIORITY_RANK[one[0]] * AGEING_S - (now - one[1])  # exact: no division

    assert sorted(waiting, key=rank) == sorted(waiting, key=lambda one: order_at(one[1], one[0]))


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    text=st.text(alphabet=st.characters(exclude_categories=()), max_size=20),
    deviations=st.lists(st.text(max_size=5), max_size=3),
    number=st.integers(0, 2**31),
)
def test_any_header_survives_as_json(text: str, deviations: list[str], number: int) -> None:
    instance = Instance(
        InstanceRef(text, text),
        text,
        text,
        text,
        patient_id=text,
        deviations=tuple(deviations),
        rows=number,
        orientation=Orientation(text, "F"),
    )
    written = header_json(instance)
    assert written.isascii()
    assert "\0" not in written
    assert instance_from(written) == instance


def test_malformed_text_is_stored_and_found_again(ledger: SqlLedger) -> None:
    for number, text in enumerate(("a\0b", "\udc80", "9" * 9000, "Ünï\n", "")):
        bad = arrival(number, patient=text)
        ref = InstanceRef(text, f"1.2{text}")
        bad = replace(bad, instance=replace(bad.instance, ref=ref, study_uid=text))
        assert ledger.record(bad, ONE_JOB) is Recorded.NEW
        assert ledger.record(bad, ONE_JOB) is Recorded.SAME
        claim = claimed(ledger)
        assert claim.arrival == bad
        ledger.finish_jobs(claim, outcome(number), 2000.0)


def test_a_header_of_an_older_or_newer_version_is_read() -> None:
    assert instance_from(
        '{"ref":{"sop_class_uid":"1","sop_instance_uid":"2"},"study_uid":"3","series_uid":"4",'
        '"transfer_syntax_uid":"5","no_longer_known":true}'
    ) == Instance(InstanceRef("1", "2"), "3", "4", "5")
