"""The outbox's turn over a real queue, archive and sockets."""

import sqlite3
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from dicom_node.domain.errors import GiveUp, NotTaken, TryAgain
from dicom_node.domain.findings import Algorithm, Findings
from dicom_node.domain.pipeline import Archive
from dicom_node.domain.study import HL7Destination, Instance, InstanceRef
from dicom_node.domain.work import (
    Acknowledgement,
    Admission,
    Arrival,
    Delivery,
    DeliveryBatch,
    NewDelivery,
    NewJob,
    ObjectKind,
    Outcome,
    ReportObject,
    StoredFile,
    Undelivered,
)
from dicom_node.flow.deliver import Outbox, Sender, deliver_once
from dicom_node.network.dimse import scu
from dicom_node.network.dimse.options import prepare
from dicom_node.network.hl7 import mllp
from dicom_node.storage.archive.files import FileArchive
from dicom_node.storage.database.engine import migrate, open_database
from dicom_node.storage.queue.ledger import SqlLedger
from tests.support.dimse_peers import SEG, SR, make_object, running_scp
from tests.support.listeners import HL7Listener

ORU = b"MSH|^~\\&|CXRAI|H|RIS|H|20261121||ORU^R01^ORU_R01|M1|P|2.5.1\rPID|1||4711\r"


@dataclass
class Queue:
    """A queue with three results of one study, and a clock that a test turns."""

    ledger: SqlLedger
    archive: FileArchive
    database: Path
    now: float = 1000.0

    def turn(self, senders: Mapping[str, Sender], destination: str | None = None) -> int:
        outbox = Outbox("w", self.ledger, self.archive, senders, lambda: self.now, 60)
        return deliver_once(outbox, destination)

    def rows(self, what: str) -> list[tuple[object, ...]]:
        with sqlite3.connect(self.database) as connection:
            return connection.execute(f"SELECT {what} FROM deliveries ORDER BY id").fetchall()  # noqa: S608 - a test's own words


def fill(outbox: Queue, tmp_path: Path, *, oru_after_objects: bool = False) -> None:
    instance = Instance(InstanceRef("1.2.3", "1.2.3.4"), "1.2.3", "1.2.3.5", "1.2.840.10008.1.2")
    arrival = Arrival(instance, StoredFile("k", "0", 1), "CR1", "CXRAI", "127.0.0.1", 900)
    outbox.ledger.record(arrival, Admission((NewJob("p", ("chest",), "routine"),)))
    claim = outbox.ledger.claim_jobs("w", 901, 60)
    assert claim is not None
    kinds: list[tuple[ObjectKind, str, bytes]] = [
        ("seg", SEG, make_object(tmp_path / "seg", SEG, "2.25.1").path.read_bytes()),
        ("sr", SR, make_object(tmp_path / "sr", SR, "2.25.2").path.read_bytes()),
        ("oru", "", ORU),
    ]
    made = [
        (ReportObject(kind, one, f"2.25.{n}", "", content), content)
        for n, (kind, one, content) in enumerate(kinds, 1)
    ]
    objects = tuple((one, outbox.archive.put([content], "r", ".x")) for one, content in made)
    deliveries = (
        NewDelivery("2.25.1", "pacs", "dicom", "routine"),
        NewDelivery("2.25.2", "pacs", "dicom", "routine"),
        NewDelivery("2.25.3", "ris", "mllp", "urgent", after_objects=oru_after_objects),
    )
    found = (Findings(Algorithm("p", "1", "0")),)
    outbox.ledger.finish_jobs(claim, Outcome(found, objects, deliveries), 902)


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Queue]:
    prepare()
    engine = open_database(f"sqlite:///{tmp_path}/node.db")
    migrate(engine)
    yield Queue(SqlLedger(engine), FileArchive(tmp_path / "archive"), tmp_path / "node.db")
    engine.dispose()


@pytest.fixture
def outbox(empty: Queue, tmp_path: Path) -> Queue:
    fill(empty, tmp_path)
    return empty


def answering(answer: Exception | str) -> Sender:
    def sender(batch: DeliveryBatch, archive: Archive) -> tuple[Acknowledgement | Undelivered, ...]:
        return tuple(
            Acknowledgement(one.id, answer)
            if isinstance(answer, str)
            else Undelivered(one.id, answer)
            for one in batch.deliveries
        )

    return sender


ALL_WELL = {"pacs": answering("0x0000 stored"), "ris": answering("AA")}


def test_nothing_due_is_no_turn(empty: Queue) -> None:
    assert empty.turn(ALL_WELL) == 0


def test_results_reach_a_pacs_and_a_ris(outbox: Queue) -> None:
    with running_scp() as scp, HL7Listener() as listener, capture_logs() as events:
        receiver = HL7Destination("ris", listener.host, listener.port)
        senders: dict[str, Sender] = {
            "pacs": partial(scu.send, target=scp.target),
            "ris": partial(mllp.send, receiver=receiver),
        }
        # the urgent message first, then both objects on one association
        assert [outbox.turn(senders) for _ in range(3)] == [1, 2, 0]
    assert listener.messages == [ORU]
    assert [ds.SOPInstanceUID for ds in scp.decoded()] == ["2.25.1", "2.25.2"]
    assert scp.associations == 1
    assert outbox.rows("destination, state, acknowledged") == [
        ("pacs", "completed", "0x0000 stored"),
        ("pacs", "completed", "0x0000 stored"),
        ("ris", "completed", "AA for message M1"),
    ]
    assert [event["event"] for event in events] == ["delivery_completed"] * 3
    assert {event["destination"] for event in events} == {"pacs", "ris"}


def test_one_destination_can_be_served_alone(outbox: Queue) -> None:
    assert outbox.turn(ALL_WELL, "pacs") == 2
    assert outbox.turn(ALL_WELL, "pacs") == 0
    assert outbox.rows("state") == [("completed",), ("completed",), ("available",)]


def test_message_may_wait_for_the_objects(empty: Queue, tmp_path: Path) -> None:
    fill(empty, tmp_path, oru_after_objects=True)
    assert empty.turn(ALL_WELL, "ris") == 0
    assert empty.turn(ALL_WELL) == 2
    assert empty.turn(ALL_WELL, "ris") == 1


def test_pacs_that_is_down_gets_its_objects_later_with_growing_pauses(outbox: Queue) -> None:
    down = {**ALL_WELL, "pacs": answering(TryAgain("cannot connect"))}
    pauses = []
    for _ in range(3):
        with capture_logs() as events:
            assert outbox.turn(down, "pacs") == 2
        assert [event["event"] for event in events] == ["delivery_postponed"] * 2
        assert outbox.turn(down, "pacs") == 0
        (due_at,) = outbox.rows("due_at")[0]
        assert isinstance(due_at, float)
        pauses.append(due_at - outbox.now)
        outbox.now = due_at
    assert pauses == [5, 10, 20]
    assert outbox.rows("attempt, last_error")[0] == (3, "TryAgain: cannot connect")
    assert outbox.turn(ALL_WELL, "pacs") == 2
    assert outbox.rows("state")[:2] == [("completed",), ("completed",)]


def test_permanent_refusal_stops_at_once_and_names_no_patient_in_the_log(outbox: Queue) -> None:
    refusal = GiveUp("0xC000 cannot understand")
    refusal.add_note("Anna M. is unknown")
    with capture_logs() as events:
        assert outbox.turn({**ALL_WELL, "pacs": answering(refusal)}, "pacs") == 2
        assert outbox.turn(ALL_WELL, "pacs") == 0
    assert outbox.rows("state, last_error")[0] == (
        "discarded",
        "GiveUp: 0xC000 cannot understand; it says: Anna M. is unknown",
    )
    assert [event["event"] for event in events] == ["delivery_discarded"] * 2
    assert events[0]["reason"] == "0xC000 cannot understand"
    assert "Anna" not in str(events)


def test_outcomes_within_a_batch_are_settled_apart(outbox: Queue) -> None:
    def sender(batch: DeliveryBatch, archive: Archive) -> tuple[Acknowledgement | Undelivered, ...]:
        first, second = batch.deliveries
        return (Undelivered(second.id, TryAgain("later")), Acknowledgement(first.id, "stored"))

    assert outbox.turn({"pacs": sender}, "pacs") == 2
    assert outbox.rows("state")[:2] == [("completed",), ("available",)]


def test_destination_that_left_the_configuration_becomes_a_dead_letter(outbox: Queue) -> None:
    assert outbox.turn({}) == 1
    assert outbox.turn({}) == 2
    assert outbox.rows("state, last_error")[0] == (
        "discarded",
        "GiveUp: destination 'pacs' is no longer in the configuration",
    )


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (TryAgain("away"), "available"),
        (OSError("broken pipe"), "available"),
        (ValueError("Anna"), "discarded"),
    ],
)
def test_sender_that_raises_fails_its_batch_and_nothing_else(
    outbox: Queue, error: Exception, state: str
) -> None:
    def sender(batch: DeliveryBatch, archive: Archive) -> tuple[Acknowledgement | Undelivered, ...]:
        raise error

    with capture_logs() as events:
        outbox.turn({**ALL_WELL, "pacs": sender}, "pacs")
        assert outbox.turn(ALL_WELL, "ris") == 1
    assert outbox.rows("state") == [(state,), (state,), ("completed",)]
    assert "Anna" not in str(events)


def test_file_that_is_gone_is_a_dead_letter_and_the_other_arrives(
    outbox: Queue, tmp_path: Path
) -> None:
    lost = next(
        path
        for path in (tmp_path / "archive").rglob("*.x")
        if path.read_bytes() == (tmp_path / "seg").read_bytes()
    )
    lost.unlink()
    with running_scp() as scp:
        outbox.turn({"pacs": partial(scu.send, target=scp.target)}, "pacs")
    assert outbox.rows("state")[:2] == [("discarded",), ("completed",)]


def test_work_that_passed_to_another_worker_is_left_to_it(outbox: Queue) -> None:
    def slow(batch: DeliveryBatch, archive: Archive) -> tuple[Acknowledgement | Undelivered, ...]:
        outbox.now += 100
        assert outbox.ledger.rescue(outbox.now) == 2
        assert outbox.turn(ALL_WELL, "pacs") == 2
        return answering(GiveUp("too late"))(batch, archive)

    with capture_logs() as events:
        assert outbox.turn({"pacs": slow}, "pacs") == 2
    assert outbox.rows("state")[:2] == [("completed",), ("completed",)]
    assert _names(events) == ["delivery_completed"] * 2 + ["deliveries_lease_lost"]


def _names(events: list[EventDict]) -> list[str]:
    return [str(event["event"]) for event in events]


def test_long_transfer_keeps_its_lease(outbox: Queue) -> None:
    def slow(batch: DeliveryBatch, archive: Archive) -> tuple[Acknowledgement | Undelivered, ...]:
        time.sleep(1.0)
        assert outbox.ledger.rescue(time.time()) == 0
        return answering("0x0000 stored")(batch, archive)

    sending = Outbox("w", outbox.ledger, outbox.archive, {"pacs": slow}, time.time, 0.6)
    assert deliver_once(sending, "pacs") == 2
    assert outbox.rows("state")[:2] == [("completed",), ("completed",)]


def test_looking_for_a_plainer_object_keeps_the_lease(outbox: Queue) -> None:
    def ask_the_peer(_delivery: Delivery) -> bool:
        time.sleep(0.6)
        assert outbox.ledger.rescue(time.time()) == 0
        return False

    senders = {"pacs": answering(NotTaken("0x0122 SOP class not supported"))}
    asking = Outbox("w", outbox.ledger, outbox.archive, senders, time.time, 0.6, ask_the_peer)
    assert deliver_once(asking, "pacs") == 2
    assert outbox.rows("state")[:2] == [("discarded",), ("discarded",)]
