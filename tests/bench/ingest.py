"""How fast images come in, beside DCMTK's `storescp --fork`, in one run.

The sender costs little, so that the receiver is what is measured: it reads each file once
and hands its bytes to the kernel as they are. Every receiver is a process of its own and
takes the same films in turn; the node answers success when file and row are durable,
`storescp` when the file is written.
"""

import os
import signal
import socket
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.support.encoded import explicit
from tests.support.hospital import configure
from tests.support.listeners import free_port, until
from tests.support.raw_scu import (
    DX,
    EXPLICIT,
    RawSCU,
    command_set,
    pdu,
    pdv,
    uid,
    us,
)

ROWS, COLUMNS = 2500, 2048
"""10 MB of 16 bits."""
FILMS = 24
"""Of each measurement, over all its associations."""
ASSOCIATIONS = (1, 4, 16)
ROUNDS = 3
PDU = 131_072
DEFAULT = "storescp --fork"


@dataclass(frozen=True)
class Measured:
    """One receiver under one load."""

    receiver: str
    associations: int
    mb_per_s: float
    cpu_s_per_gb: float
    memory_mb: float


@dataclass(frozen=True)
class Opponent:
    """A receiver that runs."""

    name: str
    port: int
    called: bytes
    process: "subprocess.Popen[bytes]"

    def used_s(self) -> float:
        """CPU seconds of the process and of its children that have ended."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")

    def memory_mb(self) -> float:
        """The most memory that the process itself has had."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
        return 0.0


def measure(folder: Path) -> list[Measured]:
    """Take turns between the receivers; gives the medians of the rounds."""
    pixels = np.random.default_rng(7).integers(0, 4096, (ROWS, COLUMNS), np.uint16).tobytes()
    rounds: dict[tuple[str, int], list[Measured]] = {}
    with ExitStack() as stack:
        opponents = [
            stack.enter_context(_node(folder / "node")),
            stack.enter_context(_storescp(folder / "default", DEFAULT, {})),
            stack.enter_context(
                _storescp(folder / "nodelay", f"{DEFAULT}, TCP_NODELAY=1", {"TCP_NODELAY": "1"})
            ),
        ]
        for number in range(ROUNDS):
            for associations in ASSOCIATIONS:
                for one in opponents:
                    found = _send(one, associations, pixels, number)
                    rounds.setdefault((one.name, associations), []).append(found)
    return [_median(found) for found in rounds.values()]


def _median(found: list[Measured]) -> Measured:
    return Measured(
        found[0].receiver,
        found[0].associations,
        statistics.median(one.mb_per_s for one in found),
        statistics.median(one.cpu_s_per_gb for one in found),
        max(one.memory_mb for one in found),
    )


def _send(to: Opponent, associations: int, pixels: bytes, number: int) -> Measured:
    """Send the films over so many associations at once, each a process."""
    each = max(1, FILMS // associations)
    before = to.used_s()
    command = (sys.executable, "-m", "tests.bench.ingest", str(to.port), to.called.decode())
    senders = [
        subprocess.Popen(
            [*command, str(each), f"{number}.{associations}.{index}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for index in range(associations)
    ]
    for sender in senders:
        assert sender.stdout is not None and sender.stdout.readline() == b"ready\n"
    started = time.perf_counter()
    for sender in senders:
        assert sender.stdin is not None
        sender.stdin.write(b"go\n")
        sender.stdin.close()
    for sender in senders:
        assert sender.wait(300) == 0
        assert sender.stdout is not None
        sender.stdout.close()
    took = time.perf_counter() - started
    time.sleep(0.2)  # children of storescp end
    sent = associations * each * len(pixels)
    used = to.used_s() - before
    return Measured(to.name, associations, sent / took / 1e6, used / sent * 1e9, to.memory_mb())


@contextmanager
def _node(folder: Path) -> Iterator[Opponent]:
    folder.mkdir()
    config = configure(folder)
    subprocess.run(
        [sys.executable, "-m", "dicom_node", "migrate", "-c", str(config)],
        check=True,
        capture_output=True,
    )
    port = int(config.read_text().partition("port = ")[2].partition("\n")[0])
    command = [sys.executable, "-m", "dicom_node", "receive", "-c", str(config)]
    with _running(command, folder, {}, port) as process:
        yield Opponent("node", port, b"CXRAI", process)


@contextmanager
def _storescp(folder: Path, name: str, environment: dict[str, str]) -> Iterator[Opponent]:
    folder.mkdir()
    port = free_port()
    command = ["storescp", "--fork", "-od", str(folder), "-pdu", str(PDU), str(port)]
    with _running(command, folder, environment, port) as process:
        yield Opponent(name, port, b"ANY-SCP", process)


@contextmanager
def _running(
    command: list[str], folder: Path, environment: dict[str, str], port: int
) -> Iterator["subprocess.Popen[bytes]"]:
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env={**os.environ, **environment}
        )
    try:
        until(lambda: _listens(port), f"{command[0]} to listen", 60)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def _film(instance: str) -> tuple[bytes, bytes]:
    """Encode everything before the pixels, and the head of the pixel element."""
    elements = {
        0x00080016: (b"UI", DX.encode()),
        0x00080018: (b"UI", instance.encode()),
        0x00080060: (b"CS", b"DX"),
        0x00100020: (b"LO", b"BENCH"),
        0x00180015: (b"CS", b"CHEST"),
        0x0020000D: (b"UI", f"{instance}.1".encode()),
        0x0020000E: (b"UI", f"{instance}.1.1".encode()),
        0x00280002: (b"US", us(1)),
        0x00280004: (b"CS", b"MONOCHROME2"),
        0x00280010: (b"US", us(ROWS)),
        0x00280011: (b"US", us(COLUMNS)),
        0x00280100: (b"US", us(16)),
        0x00280101: (b"US", us(12)),
    }
    size = 2 * ROWS * COLUMNS
    return explicit(elements), struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OW", 0, size)


def _sender(port: int, called: str, films: int, name: str) -> None:
    """Send films on one association when told to go; fails unless each is stored."""
    pixels = np.random.default_rng(7).integers(0, 4096, (ROWS, COLUMNS), np.uint16).tobytes()
    root = f"1.2.826.0.1.3680043.8.498.{time.time_ns()}.{name}"
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    contexts = ((DX, (EXPLICIT,)),)
    with RawSCU(port, contexts, calling=b"MODALITY", called=called.encode()) as scu:
        for number in range(films):
            instance = f"{root}.{number}"
            command = {0x0002: uid(DX), 0x0100: us(1), 0x0110: us(number), 0x0700: us(0)}
            command |= {0x0800: us(0), 0x1000: uid(instance)}
            header, head = _film(instance)
            _stream(scu.socket, pdu(4, pdv(1, 3, command_set(command))), header + head, pixels)
            assert scu.read_response().status == 0
        scu.release()


def _stream(connection: socket.socket, command: bytes, header: bytes, pixels: bytes) -> None:
    """Send a data set in PDUs of full size without copying the pixels."""
    room, view, at = PDU - 6, memoryview(pixels), 0
    first = room - len(header)
    parts: list[bytes | memoryview] = [command, struct.pack(">BxLLBB", 4, PDU, room + 2, 1, 0)]
    parts += [header, view[:first]]
    at = first
    while at < len(view):
        piece = view[at : at + room]
        at += len(piece)
        head = struct.pack(">BxLLBB", 4, len(piece) + 6, len(piece) + 2, 1, 2 * (at >= len(view)))
        parts += [head, piece]
    while parts:
        sent = connection.sendmsg(parts[:64])
        while parts and sent >= len(parts[0]):
            sent -= len(parts.pop(0))
        if sent:
            parts[0] = memoryview(parts[0])[sent:]


if __name__ == "__main__":
    _sender(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4])
