"""Orders and patients in the database, and which image they belong to."""

import threading
from dataclasses import replace

import pytest
from sqlalchemy import Engine, select, text

from dicom_node.domain.exchange.orders import (
    ImageKeys,
    Merge,
    Order,
    OrderMessage,
    OrderNumber,
    Patient,
    PatientKey,
    Registered,
)
from dicom_node.domain.work import Arrival, Priority
from dicom_node.storage.database.schema import jobs, orders, patients
from dicom_node.storage.queue import orders as book
from dicom_node.storage.queue.ledger import SqlLedger
from tests.support.listeners import until
from tests.support.rows import arrival, claimed, jobs_of, rows

P1 = PatientKey("P1", "HOSP")
ORDER = Order("NW", "ACC1", OrderNumber("PL1", "RIS"), OrderNumber("FI1"), "1.2.9", P1, "urgent")
IMAGE = ImageKeys("1.2.9", "ACC1", patient=PatientKey("P1"))


def image(number: int, *, accession: str = "", study: int | None = None) -> Arrival:
    made = arrival(number, study=study)
    return replace(made, instance=replace(made.instance, accession_number=accession))


def urgent(**news: object) -> OrderMessage:
    return OrderMessage((replace(ORDER, **news),))  # type: ignore[arg-type]


def priorities(engine: Engine) -> list[object]:
    return [row["priority"] for row in rows(engine, jobs)]


def test_an_order_is_found_by_each_of_its_numbers(engine: Engine) -> None:
    book.store(engine, OrderMessage((ORDER,)), 1.0)
    found = Registered(ORDER.placer, ORDER.filler, priority="urgent")
    for keys in (
        ImageKeys("1.2.9"),
        ImageKeys("", "ACC1"),
        ImageKeys("", placer_number="PL1"),
        ImageKeys("7", filler_number="FI1"),
    ):
        assert book.registered(engine, keys) == found
    assert book.registered(engine, ImageKeys("")) == Registered()
    assert book.registered(engine, ImageKeys("1.2", "ACC", "PL", "FI")) == Registered()


def test_a_repeat_is_one_order_and_a_later_message_adds_what_it_knows(engine: Engine) -> None:
    book.store(
        engine,
        OrderMessage((replace(ORDER, accession_number="", study_uid="", filler=OrderNumber()),)),
        1,
    )
    for _ in range(2):
        book.store(engine, OrderMessage((replace(ORDER, control="XO", priority=None),)), 2.0)
    book.store(engine, OrderMessage((Order("SC", "ACC1"),)), 3.0)
    (row,) = rows(engine, orders)
    kept = (row["accession_number"], row["placer_number"], row["filler_number"], row["priority"])
    assert kept == ("ACC1", "PL1", "FI1", "urgent")
    assert (row["control"], row["created_at"], row["updated_at"]) == ("SC", 1.0, 3.0)


def test_a_placers_cancellation_meets_all_its_accessions(engine: Engine) -> None:
    book.store(
        engine,
        OrderMessage((ORDER, replace(ORDER, accession_number="ACC2", study_uid="1.2.10"))),
        1.0,
    )
    book.store(engine, OrderMessage((Order("CA", placer=ORDER.placer),)), 2.0)
    assert [row["cancelled"] for row in rows(engine, orders)] == [True, True]


def test_the_order_of_another_patient_is_not_the_images(engine: Engine) -> None:
    book.store(engine, OrderMessage((ORDER,)), 1.0)
    other = replace(IMAGE, patient=PatientKey("P2"))
    elsewhere = replace(IMAGE, patient=PatientKey("P1", "OTHER"))
    assert book.registered(engine, other) == Registered(contradicted=True)
    assert book.registered(engine, elsewhere) == Registered(contradicted=True)
    assert book.registered(engine, IMAGE).placer == ORDER.placer


def test_the_closest_of_several_orders_is_taken(engine: Engine) -> None:
    other = replace(ORDER, accession_number="ACC2", placer=OrderNumber("PL2"), study_uid="1.2.10")
    book.store(engine, OrderMessage((ORDER, other)), 1.0)
    keys = ImageKeys("1.2.10", "ACC1", patient=PatientKey("P1"))
    assert book.registered(engine, keys).placer == OrderNumber("PL2")


def test_a_corrected_patient_is_known_and_what_is_left_out_stays(engine: Engine) -> None:
    book.store(engine, OrderMessage(patients=(Patient(P1, "Miller^Anna", "19800102", "F"),)), 1.0)
    book.store(engine, OrderMessage(patients=(Patient(P1, "Smith^Anna"),)), 2.0)
    known = Patient(P1, "Smith^Anna", "19800102", "F")
    assert book.registered(engine, IMAGE) == Registered(patient=known)
    assert book.registered(engine, ImageKeys("9", patient=PatientKey("P9"))) == Registered()


def test_a_merged_patient_has_the_surviving_identifier(engine: Engine) -> None:
    last, between = PatientKey("P3", "HOSP"), PatientKey("P2", "HOSP")
    book.store(engine, OrderMessage((ORDER,), (Patient(P1, "Old^Name"),)), 1.0)
    book.store(engine, OrderMessage((), (Patient(between, "B"),), (Merge(P1, between),)), 2.0)
    book.store(
        engine, OrderMessage((), (Patient(last, "Miller^Anna"),), (Merge(between, last),)), 3.0
    )
    found = book.registered(engine, IMAGE)
    assert found.patient == Patient(last, "Miller^Anna")
    assert found.placer == ORDER.placer  # the order names the old identifier, as the image does
    assert book.registered(engine, replace(IMAGE, patient=last)).placer == ORDER.placer


def test_a_merge_that_names_no_issuer_means_the_patient_that_is_known(engine: Engine) -> None:
    book.store(engine, OrderMessage(patients=(Patient(P1, "Miller^Anna"),)), 1.0)
    book.store(engine, OrderMessage((), (), (Merge(PatientKey("P1"), PatientKey("P2")),)), 2.0)
    for keys in (IMAGE, replace(IMAGE, patient=P1)):
        assert book.registered(engine, keys).patient == Patient(PatientKey("P2"))


def test_patients_merged_crosswise_lead_to_the_last_survivor(engine: Engine) -> None:
    other = PatientKey("P2", "HOSP")
    book.store(engine, OrderMessage((), (), (Merge(P1, other),)), 1.0)
    book.store(engine, OrderMessage((), (), (Merge(other, P1),)), 2.0)
    for keys in (IMAGE, replace(IMAGE, patient=other)):
        assert book.registered(engine, keys).patient == Patient(P1)


def test_an_identifier_of_two_issuers_is_nobodys(engine: Engine) -> None:
    for issuer in ("HOSP", "CLINIC"):
        book.store(engine, OrderMessage(patients=(Patient(PatientKey("P1", issuer), issuer),)), 1.0)
    assert book.registered(engine, IMAGE).patient is None
    named = replace(IMAGE, patient=PatientKey("P1", "CLINIC"))
    assert book.registered(engine, named).patient == Patient(PatientKey("P1", "CLINIC"), "CLINIC")


@pytest.mark.parametrize(("accession", "study"), [("ACC1", 1), ("", 9)])
def test_an_urgent_order_hastens_the_jobs_that_wait(
    engine: Engine, accession: str, study: int
) -> None:
    ledger = SqlLedger(engine)
    ledger.record(image(1, accession="ACC11"), jobs_of("routine"))
    ledger.record(image(2, accession=accession, study=study), jobs_of("routine"))
    assert book.store(engine, urgent(), 1.0) == 1
    assert priorities(engine) == ["routine", "urgent"]
    claim = claimed(ledger)
    assert claim.arrival.instance.ref.sop_instance_uid == "1.2.3.2"
    assert book.store(engine, urgent(), 2.0) == 0


@pytest.mark.parametrize("priority", ["high", "routine", None])
def test_an_order_never_lowers_a_priority(engine: Engine, priority: Priority | None) -> None:
    SqlLedger(engine).record(image(1, accession="ACC1"), jobs_of("urgent"))
    assert book.store(engine, urgent(priority=priority), 1.0) == 0
    assert priorities(engine) == ["urgent"]


def test_a_cancelled_order_hastens_nothing_and_stops_nothing(engine: Engine) -> None:
    ledger = SqlLedger(engine)
    ledger.record(image(1, accession="ACC1"), jobs_of("routine"))
    assert book.store(engine, urgent(control="CA"), 1.0) == 0
    assert book.raise_priority(engine, image(1, accession="ACC1").instance) == 0
    assert claimed(ledger).jobs


def test_an_image_that_comes_after_its_order_is_hastened(engine: Engine) -> None:
    book.store(engine, urgent(), 1.0)
    ledger = SqlLedger(engine)
    for one in (image(1, accession="ACC2"), image(2, accession="ACC1")):
        ledger.record(one, jobs_of("routine"))
    assert book.raise_priority(engine, image(1, accession="ACC2").instance) == 0
    assert book.raise_priority(engine, image(2, accession="ACC1").instance) == 1
    assert priorities(engine) == ["routine", "urgent"]


# SQLite has one writer at a time, so there nothing comes at once
@pytest.mark.parametrize(
    "url", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)
def test_an_image_that_comes_with_its_order_is_hastened(engine: Engine) -> None:
    ledger = SqlLedger(engine)
    ledger.record(image(1, accession="ACC1"), jobs_of("routine"))
    storing = threading.Thread(target=book.store, args=(engine, urgent(), 1.0))
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    with engine.begin() as worker, engine.connect() as watcher:
        worker.execute(select(jobs.c.id).with_for_update())  # the order's message waits for it
        storing.start()
        until(lambda: watcher.execute(waiting).scalar_one() == 1, "the message to wait")
        ledger.record(image(2, accession="ACC1"), jobs_of("routine"))
        assert book.raise_priority(engine, image(2, accession="ACC1").instance) == 1
    storing.join()
    assert sorted(map(str, priorities(engine))) == ["urgent", "urgent"]


def test_old_orders_and_patients_are_forgotten(engine: Engine) -> None:
    book.store(engine, OrderMessage((ORDER,), (Patient(P1),)), 1.0)
    book.store(engine, OrderMessage((replace(ORDER, accession_number="ACC2"),)), 10.0)
    assert book.prune(engine, 5.0) == 2
    assert [row["accession_number"] for row in rows(engine, orders)] == ["ACC2"]
    assert rows(engine, patients) == []
