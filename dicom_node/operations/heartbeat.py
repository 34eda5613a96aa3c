"""The sign of life that each process gives."""

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from dicom_node.assembly.parts import Parts, worker_name
from dicom_node.domain.errors import NodeError
from dicom_node.domain.operations.monitoring import BEAT_S, Gpu, Heartbeat, ServingModel
from dicom_node.storage.status.heartbeats import record_heartbeat, remove_heartbeat

log = structlog.get_logger()

STUCK_S = 120.0
"""A loop that has not turned for so long is stuck: its process stops giving signs."""
HUNG_S = 600.0
"""After so long the process ends, so that the queue goes on without what it hangs on."""
HUNG = 3
"""Exit code of a process that ended itself so."""


@dataclass
class HeartbeatWriter:
    """What a process says of itself; its loop calls `turned`."""

    role: str
    started_at: float
    looping: bool = False
    models: tuple[ServingModel, ...] = ()
    turned_at: float | None = None

    def watch(self, turn: Callable[[], object]) -> Callable[[], object]:
        """Note each turn of a loop: without turns there is no life."""

        def watched() -> object:
            self.turned_at = time.monotonic()
            return turn()

        return watched

    @property
    def on_gpu(self) -> bool:
        """Whether any model runs on a GPU."""
        return any(model.device.startswith("cuda") for model in self.models)

    def alive(self) -> bool:
        """Say whether the loop turns; a process without one lives as long as it runs."""
        if not self.looping:
            return True
        return self.turned_at is not None and time.monotonic() - self.turned_at < STUCK_S

    def is_hung(self) -> bool:
        """Say whether the loop has begun, and hangs for longer than anything may take."""
        return self.turned_at is not None and time.monotonic() - self.turned_at > HUNG_S


@contextmanager
def heartbeat(parts: Parts, role: str, *, looping: bool = False) -> Iterator[HeartbeatWriter]:
    """Write a heartbeat every BEAT_S until the block ends; then remove it.

    With `looping` only while the loop turns, so not before its first turn either.
    """
    writer = HeartbeatWriter(role, parts.clock(), looping)
    ended = threading.Event()
    thread = threading.Thread(
        target=_write_heartbeats, args=(parts, writer, ended), name="heartbeat"
    )
    thread.start()
    try:
        yield writer
    finally:
        ended.set()
        thread.join()


def _write_heartbeats(parts: Parts, writer: HeartbeatWriter, ended: threading.Event) -> None:
    worker = worker_name(writer.role)
    written = False
    while not ended.wait(BEAT_S if written else 0.5):
        if writer.is_hung():
            log.error("loop_hung", name=writer.role, hung_s=HUNG_S)
            os._exit(HUNG)  # no exception reaches a thread that hangs in a decoder's own code
        if not writer.alive():
            continue
        try:
            record_heartbeat(parts.engine, _heartbeat_of(writer, worker, parts.clock()))
            written = True
        except NodeError as error:
            written = True  # not more often while the database is away
            log.warning("heartbeat_failed", error=type(error).__name__, reason=str(error))
    if written:
        try:
            remove_heartbeat(parts.engine, worker)
        except NodeError as error:
            log.warning("heartbeat_failed", error=type(error).__name__, reason=str(error))


def _heartbeat_of(writer: HeartbeatWriter, worker: str, now: float) -> Heartbeat:
    return Heartbeat(
        worker=worker,
        role=writer.role,
        started_at=writer.started_at,
        last_at=now,
        resident_bytes=_resident_bytes(),
        open_files=_open_files(),
        models=writer.models,
        gpus=read_gpus() if writer.on_gpu else (),
    )


def _resident_bytes() -> int:
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:  # no Linux
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _open_files() -> int:
    try:
        return sum(1 for _ in Path("/proc/self/fd").iterdir())
    except OSError:
        return 0


TOOL = "nvidia-smi"
LONGEST_S = 5.0
ASKED = "index,memory.used,memory.total,utilization.gpu"
MIB = 1 << 20


def read_gpus() -> tuple[Gpu, ...]:
    """Give every GPU that the driver shows; none where the tool is missing or fails."""
    program = shutil.which(TOOL)
    if program is None:
        return ()
    command = (program, f"--query-gpu={ASKED}", "--format=csv,noheader,nounits")
    try:
        ended = subprocess.run(  # noqa: S603 - the driver's own tool, fixed arguments
            command, capture_output=True, text=True, timeout=LONGEST_S, check=True
        )
        return tuple(_gpu(line) for line in ended.stdout.splitlines() if line)
    except (OSError, subprocess.SubprocessError, ValueError):
        # ValueError: "[N/A]" of a GPU that does not tell; a metric is no reason to stop
        return ()


def _gpu(line: str) -> Gpu:
    index, used, total, busy = (int(part) for part in line.split(","))
    return Gpu(str(index), used * MIB, total * MIB, busy / 100)
