"""Senders that lie, dawdle or flood; the receiver serves the next one at once."""

import itertools
import random
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from dicom_node.domain.study import Peer
from dicom_node.network.dimse.options import Timeouts
from tests.support.encoded import chest
from tests.support.gauge import ALLOWED, held, unharmed, until
from tests.support.mutations import mutated
from tests.support.raw_scu import (
    ASSOCIATE_RJ,
    CR,
    EXPLICIT,
    IMPLICIT,
    P_DATA,
    RawSCU,
    associate_rq,
    command_set,
    message_pdus,
    pdu,
    pdv,
    uid,
    us,
)
from tests.support.receiver import Receiver, Setup, receiver

ANYWHERE = Peer("xray", "XRAY1")
TIMEOUTS = Timeouts(acse_s=3, dimse_s=3, network_s=3)
LARGEST = 1 << 20
LIMITED = Setup((ANYWHERE,), max_associations=6, max_per_caller=2, max_object=LARGEST)
BOUND_S = 20.0
"""A receiver whose time limits are three seconds gives up within this, on a busy machine too."""
STORE = {0x0002: uid(CR), 0x0100: us(1), 0x0110: us(7), 0x0700: us(0), 0x0800: us(0)}
_numbers = itertools.count(1)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Receiver]:
    """A receiver that waits longer than a busy machine makes a test's sender pause."""
    with receiver(tmp_path, LIMITED) as running:
        yield running


@pytest.fixture
def hasty(tmp_path: Path) -> Iterator[Receiver]:
    """A receiver that waits three seconds for anything."""
    with receiver(tmp_path, replace(LIMITED, timeouts=TIMEOUTS)) as running:
        yield running


def serving(node: Receiver) -> Callable[[], None]:
    """An echo and a new image, on an association of their own."""

    def serve() -> None:
        name = f"1.2.3.{next(_numbers)}"
        with RawSCU(node.port) as scu:
            assert scu.echo() == 0x0000
            image = chest({0x00080018: (b"UI", name.encode())})
            assert scu.store(image, sop_instance=name).status == 0x0000
            assert scu.release()

    return serve


def ended(connection: socket.socket) -> bool:
    """Whether the receiver ends the connection, whatever it says before."""
    connection.settimeout(BOUND_S)
    with suppress(ConnectionError):
        while connection.recv(65536):
            pass
    return True


def dripped(connection: socket.socket, content: bytes) -> float:
    """Send byte by byte until the receiver has enough; give how long it bore that."""
    began = time.monotonic()
    with suppress(ConnectionError):
        for byte in content:
            connection.sendall(bytes([byte]))
            time.sleep(0.05)
            if time.monotonic() - began > BOUND_S:
                break
    return time.monotonic() - began


def test_an_association_request_that_drips_in(hasty: Receiver) -> None:
    request = associate_rq(((CR, (EXPLICIT,)),), b"XRAY1", b"CXRAI")
    with unharmed(serving(hasty)), socket.create_connection(("127.0.0.1", hasty.port)) as slow:
        assert dripped(slow, request) < BOUND_S


def test_a_pdu_that_drips_in(hasty: Receiver) -> None:
    with unharmed(serving(hasty)), RawSCU(hasty.port) as scu:
        assert dripped(scu.socket, pdu(P_DATA, bytes(100_000))) < BOUND_S


def test_an_image_that_drips_in_by_sound_pdus(hasty: Receiver) -> None:
    with unharmed(serving(hasty)), RawSCU(hasty.port) as scu:
        scu.send([pdu(P_DATA, pdv(1, 3, command_set(STORE)))])
        began = time.monotonic()
        with suppress(ConnectionError):
            while time.monotonic() - began < BOUND_S:
                scu.send([pdu(P_DATA, pdv(1, 0, b"x"))])
                time.sleep(0.1)
        assert time.monotonic() - began < BOUND_S


def test_half_open_connections_of_one_host_leave_room_for_others(hasty: Receiver) -> None:
    with unharmed(serving(hasty)), ExitStack() as stack:
        calls = [socket.create_connection(("127.0.0.1", hasty.port)) for _ in range(60)]
        for call in calls:
            stack.enter_context(call)
        with RawSCU(hasty.port, source="127.0.0.2") as other:
            assert other.echo() == 0x0000
        assert all(map(ended, calls))


def test_one_host_gets_its_share_of_associations(node: Receiver) -> None:
    with unharmed(serving(node)), ExitStack() as stack:
        for _ in range(2):
            assert stack.enter_context(RawSCU(node.port)).echo() == 0x0000
        with RawSCU(node.port) as third:
            assert third.rejection == (2, 3, 2)
        with RawSCU(node.port, source="127.0.0.2") as other:
            assert other.echo() == 0x0000


def test_an_object_beyond_the_limit_is_refused_and_the_association_lives(node: Receiver) -> None:
    with unharmed(serving(node)), RawSCU(node.port) as scu:
        answer = scu.store(bytes(LARGEST + 1))
        assert (answer.status, answer.comment) == (0xA700, "the object is larger than is taken")
        assert scu.store(chest()).status == 0x0000
    assert not node.leftovers()


def test_what_all_callers_send_at_once_is_bounded(tmp_path: Path) -> None:
    large = chest()[:-300] + bytes(6 << 20)
    pieces = list(message_pdus({**STORE, 0x1000: uid("1.2.3")}, large, 1, 1 << 17))
    setup = Setup((ANYWHERE,), max_object=8 << 20, max_held=10 << 20)
    with receiver(tmp_path, setup) as node, unharmed(serving(node)), ExitStack() as stack:
        first, second = (stack.enter_context(RawSCU(node.port)) for _ in range(2))
        first.send(pieces[:-1])
        until(lambda: held_of(node) > 5 << 20)
        second.send(pieces)
        answer = second.read_response()
        assert (answer.status, answer.comment) == (0xA700, "too much is on its way, repeat later")
        assert second.echo() == 0x0000
        first.send(pieces[-1:])
        sizes = first.read_response().status
        assert sizes != 0xA700
        second.send(pieces)  # there is room again
        assert second.read_response().status == sizes


def held_of(node: Receiver) -> int:
    return sum(one.held for one in node.connections())


def test_a_data_set_without_end_is_not_kept(node: Receiver) -> None:
    with unharmed(serving(node)) as before, RawSCU(node.port) as scu:
        scu.send([pdu(P_DATA, pdv(1, 3, command_set(STORE)))])
        piece = pdu(P_DATA, pdv(1, 0, bytes(LARGEST)))
        for _ in range(100):
            scu.send([piece])
        assert held().memory < before.memory + ALLOWED


def test_a_pdu_of_empty_values_costs_no_more_than_its_bytes(node: Receiver) -> None:
    with unharmed(serving(node)) as before, RawSCU(node.port) as scu:
        scu.send([pdu(P_DATA, pdv(1, 3, command_set(STORE)))])
        for _ in range(3):
            scu.send([pdu(P_DATA, pdv(1, 0, b"") * 100_000)])
            scu.send([pdu(P_DATA, pdv(1, 0, b"x") * 10_000)])
        assert held().memory < before.memory + ALLOWED


def test_requests_that_wait_for_no_answer_are_not_piled_up(node: Receiver) -> None:
    image = chest()[:-300] + bytes(LARGEST - 100_000)
    requests = b"".join(message_pdus({**STORE, 0x1000: uid("1.2.3")}, image, 1, 1 << 17))
    with unharmed(serving(node)) as before, RawSCU(node.port) as scu:
        most = 0
        for _ in range(80):
            scu.socket.sendall(requests)
            most = max(most, held().memory)
        answers = {scu.read_response().status for _ in range(80)}
        assert len(answers) == 1
        assert most < before.memory + ALLOWED


def test_lengths_of_which_nothing_comes(hasty: Receiver) -> None:
    with unharmed(serving(hasty)) as before, ExitStack() as stack:
        calls = [socket.create_connection(("127.0.0.1", hasty.port)) for _ in range(20)]
        for call in calls:
            stack.enter_context(call)
            with suppress(ConnectionError):
                call.sendall(struct.pack(">BBL", 1, 0, 16 << 20) + b"x")
        time.sleep(0.3)
        assert held().memory < before.memory + ALLOWED
        assert all(map(ended, calls))


def item(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(body)) + body


def association(*items: bytes, called: bytes = b"CXRAI") -> bytes:
    head = struct.pack(">HH", 1, 0) + called.ljust(16)[:16] + b"XRAY1".ljust(16) + bytes(32)
    return pdu(1, head + b"".join(items))


APPLICATION = item(0x10, b"1.2.840.10008.3.1.1.1")
USER = item(0x50, item(0x51, struct.pack(">L", 16384)) + item(0x52, b"1.2.3.4"))
CONTEXT = item(0x20, bytes([1, 0, 0, 0]) + item(0x30, CR.encode()) + item(0x40, EXPLICIT.encode()))


@pytest.mark.parametrize(
    "sent",
    [
        association(APPLICATION, *[CONTEXT] * 5000, USER),
        association(
            APPLICATION,
            item(0x20, bytes(4) + item(0x30, CR.encode()) + item(0x40, IMPLICIT.encode()) * 2500),
            USER,
        ),
        association(APPLICATION, CONTEXT, item(0x50, item(0x54, b"\0\1x\0\0") * 7000)),
        association(APPLICATION, CONTEXT, item(0x50, item(0x51, b"\0" * 4) * 8000)),
        association(APPLICATION, CONTEXT, USER)[:-3] + b"\xff\xff\xff",
        association(item(0x20, item(0x20, item(0x20, CONTEXT)))),
        association(APPLICATION, struct.pack(">BBH", 0x20, 0, 0xFFFF) + CONTEXT, USER),
        association(item(0x99, b"unknown"), CONTEXT, USER),
        association(APPLICATION, CONTEXT, USER, called=b"\xff\0\x1b\\"),
        association(),
        pdu(1, b""),
        pdu(2, bytes(100)),
        pdu(3, bytes(4)),
        pdu(5, bytes(4)),
        pdu(6, bytes(4)),
        pdu(7, bytes(4)),
        pdu(0, b""),
        pdu(8, bytes(70)),
        pdu(P_DATA, b""),
        struct.pack(">BBL", 1, 0, 0xFFFFFFFF),
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
    ids=lambda sent: f"{sent[0]:02x}-{len(sent)}",
)
def test_association_requests_that_are_none(hasty: Receiver, sent: bytes) -> None:
    with unharmed(serving(hasty)), socket.create_connection(("127.0.0.1", hasty.port)) as call:
        began = time.monotonic()
        with suppress(ConnectionError):
            call.sendall(sent)
            call.settimeout(BOUND_S)
            head = call.recv(6)
            assert head == b"" or head[0] in (2, ASSOCIATE_RJ, 7), head
        assert time.monotonic() - began < BOUND_S


def test_damaged_associations_and_messages(hasty: Receiver) -> None:
    seeds = [
        associate_rq(((CR, (EXPLICIT,)),), b"XRAY1", b"CXRAI"),
        b"".join(message_pdus({**STORE, 0x1000: uid("1.2.3")}, chest()[:3000], 1, 700)),
    ]
    choice = random.Random(6)  # noqa: S311 - no secret
    with unharmed(serving(hasty)):
        for number in range(60):
            seed = seeds[number % 2]
            with RawSCU(hasty.port, source="127.0.0.3") as scu:
                with suppress(OSError):
                    scu.socket.sendall(mutated([seed], [b"\0\0\0\0", b"\xff\xff"], choice))
                    scu.socket.shutdown(socket.SHUT_WR)
                assert ended(scu.socket)
            with socket.create_connection(("127.0.0.1", hasty.port)) as call:
                with suppress(OSError):
                    call.sendall(mutated([seed], [b"\0\0\0\0", b"\xff\xff"], choice))
                    call.shutdown(socket.SHUT_WR)
                assert ended(call)
            if number % 20 == 0:
                until(lambda: held().threads < 40)
