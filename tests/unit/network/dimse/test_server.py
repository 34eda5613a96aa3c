"""The door: what every caller is answered, what is written down, who finds a place."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from dicom_node.domain.work import Admission, Arrival, Recorded
from dicom_node.network.dimse.options import Timeouts
from dicom_node.network.dimse.server import Bounds, NoPlace, Places
from tests.support.encoded import chest
from tests.support.listeners import until
from tests.support.raw_scu import (
    ABORT,
    ASSOCIATE_AC,
    ASSOCIATE_RJ,
    CR,
    EXPLICIT,
    RawSCU,
    message_pdus,
    pdu,
    uid,
    us,
)
from tests.support.receiver import Receiver, Setup, receiver

PATIENCE_S = 60.0
APPLICATION = b"1.2.840.10008.3.1.1.1"
STORE = {0x0002: uid(CR), 0x0100: us(1), 0x0110: us(7), 0x0700: us(0), 0x0800: us(0)}


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Receiver]:
    setup = Setup(unknown_callers="learn", timeouts=Timeouts(acse_s=2))
    with receiver(tmp_path, setup) as running:
        yield running


def item(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(body)) + body


CONTEXT = item(0x20, b"\1\0\0\0" + item(0x30, CR.encode()) + item(0x40, EXPLICIT.encode()))
LENGTH = item(0x51, struct.pack(">L", 16384))


def request(
    *contexts: bytes,
    calling: bytes = b"XRAY1",
    called: bytes = b"CXRAI",
    application: bytes = APPLICATION,
    user: bytes = LENGTH,
) -> bytes:
    head = struct.pack(">HH", 1, 0) + called.ljust(16) + calling.ljust(16) + bytes(32)
    return pdu(1, head + item(0x10, application) + b"".join(contexts) + item(0x50, user))


def answered(port: int, sent: bytes) -> tuple[int, bytes]:
    """Give type and body of the answer; fails where there is none."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as call:
        call.sendall(sent)
        head = call.recv(6, socket.MSG_WAITALL)
        return head[0], call.recv(int.from_bytes(head[2:], "big"), socket.MSG_WAITALL)


@pytest.mark.parametrize(
    "sent",
    [
        request(CONTEXT),
        request(CONTEXT, user=item(0x5E, b"unknown") + LENGTH),
        request(CONTEXT, user=item(0x99, b"")),
        request(CONTEXT, user=b""),
        request(CONTEXT, user=item(0x58, b"\1\0\0\4user\0\0") + LENGTH),
        request(item(0x20, b"\1\0\0\0" + item(0x30, CR.encode())), CONTEXT),
        request(item(0x20, b"\1\0\0\0" + item(0x30, CR.encode()) + item(0x40, b""))),
        request(),
        request(CONTEXT, calling=b"XRAY1".ljust(16, b"\0")),
    ],
    ids=[
        "plain",
        "unknown",
        "no-length",
        "no-user",
        "identity",
        "no-syntax",
        "empty",
        "none",
        "nul",
    ],
)
def test_what_others_trip_over_is_accepted(node: Receiver, sent: bytes) -> None:
    with capture_logs() as lines:
        assert answered(node.port, sent)[0] == ASSOCIATE_AC
        until(lambda: not node.connections(), "the end")
    assert [one["event"] for one in lines] == ["association_accepted"]


def test_a_context_without_a_transfer_syntax_is_answered_and_the_others_stand(
    node: Receiver,
) -> None:
    pairs = ((CR, ()), (CR, ("",)), (CR, (EXPLICIT,)), ("", (EXPLICIT,)))
    with RawSCU(node.port, pairs) as scu:
        assert scu.accepted == {1: 4, 3: 4, 5: 0, 7: 3}
        assert scu.store(chest(), context=5).status == 0x0000


@pytest.mark.parametrize(
    ("sent", "code", "words"),
    [
        (request(CONTEXT, calling=b""), "1/1/3", "the caller is not known"),
        (request(CONTEXT, calling=b"XRAY1\0" + b"\xa7" * 10), "1/1/3", "the caller is not known"),
        (request(CONTEXT, calling=b"R\xd6NTGEN"), "1/1/3", "the caller is not known"),
        (request(CONTEXT, called=b""), "1/1/7", "the called AE title"),
        (request(CONTEXT, called=b"\xff\0\x1b\\"), "1/1/7", "the called AE title"),
        (request(CONTEXT, application=b"1.2.3"), "1/1/2", "application context"),
        (request(CONTEXT, application=b""), "1/1/2", "application context"),
    ],
)
def test_what_is_rejected_has_a_code_and_a_line_in_words(
    node: Receiver, sent: bytes, code: str, words: str
) -> None:
    with capture_logs() as lines:
        kind, body = answered(node.port, sent)
    assert (kind, "/".join(map(str, body[1:]))) == (ASSOCIATE_RJ, code)
    (line,) = [one for one in lines if one["event"] == "association_rejected"]
    assert line["reason"] == code and words in line["words"] and line["host"] == "127.0.0.1"


def test_titles_that_are_none_are_learned_as_they_print(node: Receiver) -> None:
    for title in (b"", b"R\xd6NTGEN", b"A\0B\x1b"):
        assert answered(node.port, request(CONTEXT, calling=title))[0] == ASSOCIATE_RJ
    assert {row.ae for row in node.rows("callers")} == {"", "R\xd6NTGEN", "A?B?"}


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (struct.pack(">BBL", 1, 0, 15 << 20), "longer than 128 KiB"),
        (request(*[CONTEXT] * 129), "more than 128 presentation contexts"),
        (request(CONTEXT)[:-1] + b"", "no association request within 2 s"),
        (pdu(1, bytes(20)), "is cut"),
        (pdu(4, b"data"), "out of turn"),
        (b"GET / HTTP/1.0\r\n\r\n", "no DICOM was spoken"),
    ],
    ids=["size", "contexts", "unfinished", "cut", "early", "http"],
)
def test_what_cannot_be_answered_is_aborted_and_a_line_says_why(
    node: Receiver, sent: bytes, words: str
) -> None:
    with capture_logs() as lines:
        assert answered(node.port, sent)[0] == ABORT
    (line,) = lines
    assert line["event"] == "association_failed" and words in line["reason"]
    until(lambda: not node.connections(), "the end")


def test_places_of_configured_peers_are_kept_free() -> None:
    places = Places(Bounds(8, of_one_host=3, of_unknown=4), lambda host: host == "10.0.0.1")
    taken = [places.take("192.0.2.1") for _ in range(3)]
    with pytest.raises(NoPlace, match="from there"):
        places.take("192.0.2.1")
    places.take("192.0.2.2")
    for host in ("192.0.2.2", "198.51.100.7"):
        with pytest.raises(NoPlace, match="no configured peer"):
            places.take(host)
    for _ in range(3):
        places.take("10.0.0.1")
    places.leave(taken.pop())
    places.take("198.51.100.7")
    assert not places.is_full


def test_an_ipv6_network_shares_the_places_of_one_host() -> None:
    places = Places(Bounds(4, of_one_host=2, of_unknown=4), lambda _: False)
    for number in (1, 2):
        places.take(f"2001:db8::{number}")
    with pytest.raises(NoPlace):
        places.take("2001:db8::3")
    places.take("2001:db8:0:1::1")
    places.take("192.0.2.1")
    assert places.is_full
    with pytest.raises(NoPlace, match="all places"):
        places.take("192.0.2.2")


def test_who_finds_no_place_is_told_and_written_down(tmp_path: Path) -> None:
    with receiver(tmp_path, Setup(max_associations=1)) as node, ExitStack() as stack:
        for _ in range(14):  # three quarters of the 18 places, and a bit
            stack.enter_context(socket.create_connection(("127.0.0.1", node.port)))
        until(lambda: len(node.connections()) == 13, "the connections")
        with capture_logs() as lines:
            kind, body = answered(node.port, b"")
            assert (kind, body) == (ASSOCIATE_RJ, b"\0\2\3\2")
        assert {one["event"] for one in lines} == {"connection_refused"}
        with RawSCU(node.port, source="127.0.0.2") as other:
            assert other.answer[0] == ASSOCIATE_RJ  # of an unknown caller: it was heard


class Waiting:
    """A ledger that records when it is let go."""

    def __init__(self) -> None:
        self.go_on = threading.Event()

    def record(self, arrival: Arrival, admission: Admission) -> Recorded:
        assert self.go_on.wait(PATIENCE_S)
        return Recorded.NEW


def test_what_is_being_stored_counts_as_held(tmp_path: Path) -> None:
    ledger = Waiting()
    large = chest() + bytes(3 << 20)
    setup = Setup(max_held=4 << 20, ledger=ledger)  # type: ignore[arg-type]
    with receiver(tmp_path, setup) as node, RawSCU(node.port) as first, RawSCU(node.port) as second:
        pdus = message_pdus(STORE | {0x1000: uid("1.2.3")}, large, 1, 1 << 17)
        first.send(pdus)
        until(lambda: any(one.held > 3 << 20 for one in node.connections()), "the first")
        second.send(pdus)
        answer = second.read_response()
        assert (answer.status, answer.comment) == (0xA700, "too much is on its way, repeat later")
        ledger.go_on.set()
        first.read_response()
        second.send(pdus)
        assert second.read_response().status == 0x0000


def test_the_door_says_when_it_is_full(tmp_path: Path) -> None:
    with receiver(tmp_path, Setup(max_associations=1)) as node:
        assert not node.scp.is_full
        with RawSCU(node.port) as scu:
            assert node.scp.is_full
            assert scu.release()
        until(lambda: not node.scp.is_full, "a free place")
