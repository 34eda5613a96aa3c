"""What is answered when the message, the database or the code fails."""

from dataclasses import dataclass

import pytest
import structlog

from dicom_node.domain.errors import GiveUp, TryAgain
from dicom_node.domain.exchange.orders import Fault, OrderMessage
from dicom_node.flow.orders import OrderContext, Reply, take_order_message
from dicom_node.formats.hl7.segments import envelope_of
from dicom_node.network.hl7.orders import parse
from tests.support.order_messages import message, msh, orm


@dataclass
class Book:
    """Takes what it is told, or fails."""

    error: Exception | None = None
    heard: OrderMessage | None = None

    def store(self, heard: OrderMessage, now: float) -> int:
        if self.error is not None:
            raise self.error
        self.heard = heard
        return 2


def answered(content: bytes, book: Book) -> Reply:
    return take_order_message(content, OrderContext(envelope_of, parse, book.store), 1.0)


def test_what_is_stored_is_acknowledged() -> None:
    book = Book()
    with structlog.testing.capture_logs() as logs:
        reply = answered(orm(), book)
    assert (reply.fault, reply.to.control_id) == (None, "M1")
    assert book.heard is not None
    assert logs[0]["event"] == "order_message_stored"
    assert (logs[0]["orders"], logs[0]["patients"], logs[0]["raised"]) == (1, 1, 2)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (TryAgain("database is busy"), "AR"),
        (GiveUp("database: DiskFull"), "AR"),
        (MemoryError(), "AR"),
        (KeyError("Miller^Anna"), "AE"),
    ],
)
def test_a_failure_is_answered_and_names_no_patient(error: Exception, code: str) -> None:
    with structlog.testing.capture_logs() as logs:
        reply = answered(orm(), Book(error))
    assert reply.fault is not None
    assert (reply.fault.code, reply.fault.condition) == (code, 207)
    assert [one["event"] for one in logs] == ["order_message_failed"]
    for said in (str(logs), reply.fault.words):
        assert "Miller" not in said
        assert "P1" not in said


def test_a_refusal_is_answered_and_nothing_stored() -> None:
    book = Book()
    reply = answered(message(msh("ADT^A01")), book)
    assert reply.fault == Fault("AR", 201, "event not supported", field=9)
    assert book.heard is None


@pytest.mark.parametrize("content", [b"", b"\r\r", b"MSH", b"PID|1", b"\xff\xfe"])
def test_what_has_no_header_cannot_be_answered(content: bytes) -> None:
    with pytest.raises(ValueError, match="MSH"):
        answered(content, Book())
