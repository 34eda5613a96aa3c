"""The listener on a real socket: bounds, order of answers, a clean stop."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import structlog

from dicom_node.domain.errors import TryAgain
from dicom_node.network.hl7.listener import ListenerOptions, MllpListener
from dicom_node.network.hl7.mllp import Timeouts, Unframer, deliver, frame
from tests.support.order_messages import message, msh

MESSAGE = message(msh("ADT^A08"), "PID|1||P1")


def echo(content: bytes) -> bytes | None:
    if content == b"silence":
        return None
    if content == b"nonsense":
        raise ValueError("nonsense, Miller^Anna")
    control_id = content.split(b"|")[9]
    return b"MSH|^~\\&|CXRAI\rMSA|AA|" + control_id + b"\r"


TIMEOUTS = Timeouts(connect_s=5, answer_s=5)
DESK = ListenerOptions(echo, admits=lambda _: True)


@contextmanager
def listening(context: ListenerOptions = DESK) -> Iterator[MllpListener]:
    listener = MllpListener("127.0.0.1", 0, context)
    listener.start()
    try:
        yield listener
    finally:
        listener.stop(5)


def dial(listener: MllpListener) -> socket.socket:
    return socket.create_connection(("127.0.0.1", listener.port), 5)


def answers(connection: socket.socket, count: int) -> list[bytes]:
    unframer, found = Unframer(), list[bytes]()
    while len(found) < count:
        received = connection.recv(4096)
        assert received, "the listener hung up"
        found += unframer.feed(received)
    return found


def hung_up(connection: socket.socket, within_s: float = 20) -> bool:
    connection.settimeout(within_s)
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def test_our_own_sender_is_acknowledged_again_and_again() -> None:
    with listening() as listener:
        for _ in range(3):
            assert deliver(MESSAGE, "127.0.0.1", listener.port, TIMEOUTS) == "AA for message M1"


def test_messages_on_one_connection_are_answered_in_turn_however_they_are_cut() -> None:
    stream = b"".join(frame(MESSAGE.replace(b"M1", b"M%d" % n)) for n in range(5))
    with listening() as listener, dial(listener) as connection:
        for cut in range(0, len(stream), 37):
            connection.sendall(stream[cut : cut + 37])
        said = answers(connection, 5)
    assert [one.split(b"|")[-1] for one in said] == [b"M%d\r" % n for n in range(5)]


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        frame(b"nonsense"),
        b"\x0b" + b"x" * 3000,
    ],
    ids=["http", "tls", "no MSH", "too long"],
)
def test_what_cannot_be_answered_ends_the_connection_and_is_not_logged(sent: bytes) -> None:
    with (
        structlog.testing.capture_logs() as logs,
        listening(replace(DESK, largest=2000)) as listener,
        dial(listener) as connection,
    ):
        connection.sendall(sent)
        assert hung_up(connection)
        with dial(listener) as another:
            another.sendall(frame(MESSAGE))
            assert answers(another, 1)
    assert [one["event"] for one in logs] == ["mllp_connection_closed"]
    assert "Miller" not in str(logs)


def test_a_whole_message_is_answered_whatever_comes_behind_it() -> None:
    with listening() as listener, dial(listener) as connection:
        connection.sendall(frame(MESSAGE) + b"\x1c\r")
        assert answers(connection, 1) == [b"MSH|^~\\&|CXRAI\rMSA|AA|M1\r"]
        assert hung_up(connection)


@pytest.mark.parametrize("sent", [b"", b"\x0bMSH|", frame(b"silence")])
def test_a_silent_caller_is_hung_up_on(sent: bytes) -> None:
    with (
        listening(replace(DESK, idle_s=0.3, block_s=0.3)) as listener,
        dial(listener) as connection,
    ):
        connection.sendall(sent)
        assert hung_up(connection)


def test_a_block_that_trickles_in_is_not_waited_for() -> None:
    with listening(replace(DESK, block_s=0.5)) as listener, dial(listener) as connection:
        started = time.monotonic()
        with pytest.raises(OSError):
            for byte in b"\x0b" + b"x" * 3000:
                connection.sendall(bytes([byte]))
                time.sleep(0.01)
        assert time.monotonic() - started < 20


def test_more_callers_than_allowed_are_turned_away_until_one_leaves() -> None:
    with listening(replace(DESK, max_connections=1)) as listener:
        with dial(listener) as first:
            first.sendall(frame(MESSAGE))
            answers(first, 1)
            with dial(listener) as second:
                assert hung_up(second)
        assert_soon(lambda: speaks(listener))


def test_an_unknown_caller_is_turned_away() -> None:
    with (
        structlog.testing.capture_logs() as logs,
        listening(replace(DESK, admits=lambda host: host != "127.0.0.1")) as listener,
        dial(listener) as connection,
    ):
        assert hung_up(connection)
    assert {"host": "127.0.0.1", "reason": "unknown"}.items() <= logs[0].items()


def test_a_message_in_hand_is_answered_before_the_stop() -> None:
    begun = threading.Event()

    def slow(content: bytes) -> bytes | None:
        begun.set()
        time.sleep(0.3)
        return echo(content)

    listener = MllpListener("127.0.0.1", 0, replace(DESK, answer=slow))
    port = listener.port
    listener.start()
    with dial(listener) as connection, dial(listener) as idle:
        connection.sendall(frame(MESSAGE))
        assert begun.wait(5)
        listener.stop(5)
        assert answers(connection, 1)
        assert hung_up(connection)
        assert hung_up(idle)
    with pytest.raises(TryAgain):
        deliver(MESSAGE, "127.0.0.1", port, TIMEOUTS)


def speaks(listener: MllpListener) -> bool:
    with dial(listener) as connection:
        try:
            connection.sendall(frame(MESSAGE))
        except OSError:
            return False
        return not hung_up(connection)


def assert_soon(condition: Callable[[], bool], within_s: float = 20) -> None:
    until = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)
