"""Five strangers do their worst; the hospital's own modality is served all the while."""

import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from dicom_node.network.dimse.options import Timeouts
from dicom_node.process.throttle import MOST_LINES
from tests.support.encoded import chest
from tests.support.gauge import ALLOWED, held, until
from tests.support.mutations import mutated
from tests.support.raw_scu import CR, EXPLICIT, RawSCU, associate_rq, pdu, pdv
from tests.support.receiver import Receiver, Setup, receiver

STRANGERS = [f"127.0.0.{number}" for number in range(11, 16)]
ABUSE_S = 6.0
PROMPT_S = 5.0
"""What a busy machine makes of half a second."""
REQUEST = associate_rq(((CR, (EXPLICIT,)),), b"STRANGER", b"CXRAI")
Attack = Callable[[socket.socket, random.Random], None]


def half_open(call: socket.socket, _: random.Random) -> None:
    call.sendall(REQUEST[:20])
    call.settimeout(5)
    call.recv(100)


def dripping(call: socket.socket, _: random.Random) -> None:
    for byte in REQUEST:
        call.sendall(bytes([byte]))
        time.sleep(0.1)


def huge(call: socket.socket, _: random.Random) -> None:
    call.sendall(struct.pack(">BBL", 1, 0, 15 << 20) + bytes(1 << 20))


def unknown_title(call: socket.socket, choice: random.Random) -> None:
    title = f"X{choice.randrange(10**9)}".encode()
    call.sendall(associate_rq(((CR, (EXPLICIT,)),), title, b"CXRAI"))
    call.recv(100)


def no_syntax(call: socket.socket, _: random.Random) -> None:
    call.sendall(associate_rq(((CR, ()),) * 100, b"STRANGER", b"CXRAI"))
    call.settimeout(5)
    call.recv(100)


def garbage(call: socket.socket, choice: random.Random) -> None:
    call.sendall(mutated([REQUEST], [b"\0\0\0\0", b"\xff\xff", b"\x50\0"], choice))
    call.settimeout(1)
    call.recv(100)


def empty_values(call: socket.socket, _: random.Random) -> None:
    call.sendall(associate_rq(((CR, (EXPLICIT,)),), b"XRAY1", b"CXRAI"))
    call.recv(6)
    for _again in range(50):
        call.sendall(pdu(4, pdv(1, 0, b"") * 10_000))


@contextmanager
def abuse(port: int, attack: Attack) -> Iterator[None]:
    """Let each stranger attack on four threads until the block ends."""
    ended = threading.Event()

    def go_on(source: str, number: int) -> None:
        choice = random.Random(f"{source} {number}")  # noqa: S311 - no secret
        while not ended.wait(0.02):
            with suppress(OSError):
                call = socket.create_connection(("127.0.0.1", port), 5, (source, 0))
                with call:
                    attack(call, choice)

    threads = [
        threading.Thread(target=go_on, args=(source, number))
        for source in STRANGERS
        for number in range(4)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def served(node: Receiver, number: int) -> float:
    """Send one image on an association of its own; gives how long it took."""
    began = time.monotonic()
    with RawSCU(node.port) as scu:
        name = f"1.2.3.{number}"
        image = chest({0x00080018: (b"UI", name.encode())})
        assert scu.store(image, sop_instance=name).status == 0x0000
        assert scu.release()
    return time.monotonic() - began


@pytest.mark.parametrize(
    "attack",
    [half_open, dripping, huge, unknown_title, no_syntax, garbage, empty_values],
    ids=lambda one: one.__name__,
)
def test_a_known_sender_is_served_whatever_strangers_do(
    attack: Attack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    setup = Setup(
        unknown_callers="learn",
        max_associations=8,
        max_per_caller=4,
        known=frozenset({"127.0.0.1"}),
        timeouts=Timeouts(acse_s=5),
    )
    with receiver(tmp_path, setup) as node:
        served(node, 0)
        capsys.readouterr()
        before, took = held(), list[float]()
        with abuse(node.port, attack):
            began = time.monotonic()
            while time.monotonic() - began < ABUSE_S:
                took.append(served(node, len(took) + 1))
            during = held()
        assert sorted(took)[len(took) // 2] < PROMPT_S
        assert len(node.rows()) == len(took) + 1
        assert during.memory < before.memory + ALLOWED
        lines = capsys.readouterr().out.splitlines()
        strangers = [line for line in lines if any(one in line for one in STRANGERS)]
        # three kinds of lines about each: refused a place, refused as caller, the end
        assert 0 < len(strangers) <= 3 * MOST_LINES * len(STRANGERS)
        until(lambda: not node.connections())
    until(lambda: held().threads <= before.threads)
