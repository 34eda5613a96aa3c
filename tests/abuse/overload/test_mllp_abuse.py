"""Order systems that flood or dawdle; the listener serves the next one at once."""

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from dicom_node.flow.orders import OrderContext, take_order_message
from dicom_node.formats.hl7.segments import envelope_of
from dicom_node.network.hl7.acknowledgement import acknowledgement
from dicom_node.network.hl7.listener import ListenerOptions, MllpListener
from dicom_node.network.hl7.mllp import Timeouts, deliver
from dicom_node.network.hl7.orders import parse
from tests.support.gauge import ALLOWED, held, unharmed
from tests.support.order_messages import orm

UNKNOWN = "127.0.0.9"


def _keep_nothing(heard: object, now: float) -> int:
    return 0  # the database has its own tests


def _answer(message: bytes) -> bytes | None:
    reply = take_order_message(message, OrderContext(envelope_of, parse, _keep_nothing), 1.0)
    return acknowledgement(reply.to, reply.fault, 1.0)


def _admits(host: str) -> bool:
    if host == UNKNOWN:
        raise OSError("the name server is away")
    return True


@pytest.fixture
def listener() -> Iterator[MllpListener]:
    options = ListenerOptions(
        _answer, _admits, max_connections=4, idle_s=1, block_s=1, largest=1 << 20
    )
    running = MllpListener("127.0.0.1", 0, options)
    running.start()
    yield running
    running.stop(5)


def serve(listener: MllpListener) -> None:
    assert deliver(orm(), "127.0.0.1", listener.port, Timeouts(5, 5)).startswith("AA")


def dial(listener: MllpListener, source: str = "127.0.0.1") -> socket.socket:
    return socket.create_connection(("127.0.0.1", listener.port), 10, (source, 0))


def hung_up(connection: socket.socket) -> bool:
    with suppress(ConnectionError):
        while connection.recv(65536):
            pass
    return True


def test_a_message_without_end(listener: MllpListener) -> None:
    with unharmed(lambda: serve(listener)) as before, dial(listener) as call:
        with suppress(ConnectionError):
            call.sendall(b"\x0b" + b"x" * (8 << 20))
        assert hung_up(call)
        assert held().memory < before.memory + ALLOWED


def test_a_caller_that_reads_no_answer(listener: MllpListener) -> None:
    block = b"\x0b" + orm() + b"\x1c\r"
    with unharmed(lambda: serve(listener)), dial(listener) as call:
        call.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        call.settimeout(3)
        with suppress(OSError):  # the listener stops reading, then hangs up
            for _ in range(20_000):
                call.sendall(block)


def test_silent_callers_make_room_again(listener: MllpListener) -> None:
    with unharmed(lambda: serve(listener)), ExitStack() as stack:
        calls = [stack.enter_context(dial(listener)) for _ in range(20)]
        assert all(map(hung_up, calls))


@pytest.mark.parametrize(
    "sent",
    [
        b"\x0b\x1c\r" * 1000,
        b"\x0bMSH|^~\\&" + b"|" * 500_000 + b"\x1c\r",
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_nonsense(listener: MllpListener, sent: bytes) -> None:
    with unharmed(lambda: serve(listener)), dial(listener) as call:
        with suppress(ConnectionError):
            call.sendall(sent)
        assert hung_up(call)


def test_a_caller_that_cannot_be_looked_up_is_turned_away(listener: MllpListener) -> None:
    with unharmed(lambda: serve(listener)), dial(listener, UNKNOWN) as call:
        assert hung_up(call)


def test_without_a_thread_the_listener_goes_on(
    listener: MllpListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = threading.Thread.start

    def refused(thread: threading.Thread) -> None:
        if thread.name == "mllp":
            raise RuntimeError("can't start new thread")
        begin(thread)

    with unharmed(lambda: serve(listener)), monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refused)
        with dial(listener) as call:
            assert hung_up(call)
