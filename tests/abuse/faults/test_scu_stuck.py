"""Peers that stop in the middle: every step has its deadline."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom.events import Event

from dicom_node.domain.errors import TryAgain
from dicom_node.network.dimse import association
from dicom_node.network.dimse.options import Timeouts, prepare
from dicom_node.network.dimse.scu import echo, store
from tests.support.dimse_peers import accept_all, make_object, raw_peer, running_scp, wrap
from tests.support.listeners import until

SHORT = Timeouts(connect_s=1, acse_s=0.3, dimse_s=0.3, network_s=1)
PATIENCE_S = 30.0
"""Far below the minutes of a peer that hangs, far above the time-outs given."""
GONE = threading.Event()


@pytest.fixture(autouse=True)
def _short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    prepare()
    monkeypatch.setattr(association, "GRACE_S", 0.3)


@pytest.fixture(autouse=True)
def _no_thread_stays() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    until(lambda: set(threading.enumerate()) <= before, "the end of all threads", 5)


def linger(connection: socket.socket) -> None:
    """Hold the connection, reading nothing, until the other side has closed it."""
    with contextlib.suppress(OSError):
        while connection.recv(1, socket.MSG_PEEK):
            if _closed(connection):
                return
            time.sleep(0.02)


def _closed(connection: socket.socket) -> bool:
    # 1 is TCP_ESTABLISHED; tcpi_state is the first byte of TCP_INFO
    return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != 1


def read_all(connection: socket.socket) -> None:
    connection.settimeout(0.1)
    with contextlib.suppress(TimeoutError):
        while connection.recv(1 << 20):
            pass
    connection.settimeout(None)


def silent(connection: socket.socket) -> None:
    linger(connection)


def half_an_accept(connection: socket.socket) -> None:
    connection.sendall(b"\x02\x00\x00\x00\x00\xb8\x00\x01")
    linger(connection)


def no_dicom(connection: socket.socket) -> None:
    connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
    linger(connection)


def hangs_up(connection: socket.socket) -> None:
    connection.recv(10)


def stops_reading(connection: socket.socket) -> None:
    accept_all(connection)
    linger(connection)


def half_an_answer(connection: socket.socket) -> None:
    accept_all(connection)
    read_all(connection)
    connection.sendall(b"\x04\x00\x00\x00\x01\x00\x00\x00")
    linger(connection)


def drips(connection: socket.socket) -> None:
    accept_all(connection)
    read_all(connection)
    connection.sendall(b"\x04\x00\x00\x00\x01\x00")
    with contextlib.suppress(OSError):
        while not _closed(connection):
            connection.sendall(b"\x00")
            time.sleep(0.02)


def hangs_up_in_transfer(connection: socket.socket) -> None:
    accept_all(connection)
    connection.recv(1000)


@pytest.mark.parametrize("behave", [silent, half_an_accept, no_dicom, hangs_up])
def test_negotiation_that_never_ends_is_a_passing_fault(
    tmp_path: Path, behave: Callable[[socket.socket], None]
) -> None:
    file = make_object(tmp_path / "a")
    started = time.monotonic()
    with raw_peer(behave, SHORT) as target:
        first, second = store([file, file], target)
        assert not echo(target).ok
    assert time.monotonic() - started < PATIENCE_S
    assert isinstance(first, TryAgain)
    assert "not the association" in str(first)
    assert second is first


@pytest.mark.parametrize("behave", [stops_reading, half_an_answer, drips, hangs_up_in_transfer])
def test_transfer_that_never_ends_is_a_passing_fault(
    tmp_path: Path, behave: Callable[[socket.socket], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicom_node.network.dimse.scu.SLOWEST_PEER", 100_000_000)
    file = wrap(tmp_path / "a", bytes(20_000_000), ExplicitVRLittleEndian)
    started = time.monotonic()
    with raw_peer(behave, SHORT) as target:
        (result,) = store([file], target)
    assert time.monotonic() - started < PATIENCE_S
    assert isinstance(result, TryAgain)


def test_after_silence_the_rest_waits_for_the_next_attempt(tmp_path: Path) -> None:
    release = threading.Event()

    def stall(event: Event) -> int:
        release.wait(5)
        return 0x0000

    files = [make_object(tmp_path / f"{n}", uid=f"1.2.3.{n}") for n in range(3)]
    with running_scp(stall) as scp:
        target = association.Target(scp.target.peer, "NODE", SHORT)
        results = list(store(files, target))
        release.set()
    assert all(isinstance(one, TryAgain) for one in results)
    assert "no answer to C-STORE" in str(results[0])
    assert len(scp.raw) == 1


def test_release_without_answer_costs_no_result(tmp_path: Path) -> None:
    def answer_and_freeze(connection: socket.socket) -> None:
        accept_all(connection)
        read_all(connection)
        connection.sendall(store_response(message_id=1))
        linger(connection)

    started = time.monotonic()
    with raw_peer(answer_and_freeze, SHORT) as target:
        assert list(store([make_object(tmp_path / "a")], target)) == ["0x0000 stored"]
    assert time.monotonic() - started < PATIENCE_S


def store_response(message_id: int) -> bytes:
    """Write a C-STORE-RSP with status 0000 by hand (PS3.7 table 9.3-2)."""

    def element(number: int, value: bytes) -> bytes:
        return b"\0\0" + number.to_bytes(2, "little") + len(value).to_bytes(4, "little") + value

    command = (
        element(0x0002, b"1.2.840.10008.5.1.4.1.1.66.4")
        + element(0x0100, b"\x01\x80")
        + element(0x0120, message_id.to_bytes(2, "little"))
        + element(0x0800, b"\x01\x01")
        + element(0x0900, b"\0\0")
        + element(0x1000, b"1.2.3.1\0")
    )
    group = element(0x0000, len(command).to_bytes(4, "little")) + command
    value = (len(group) + 2).to_bytes(4, "big") + b"\x01\x03" + group
    return b"\x04\x00" + len(value).to_bytes(4, "big") + value
