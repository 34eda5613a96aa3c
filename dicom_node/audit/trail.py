"""The audit trail of one process: the chained log, and syslog behind it.

The log is the spool too: what the server has not yet had is sent from where the last
sending ended, by whichever process of the node holds the lock of the position.
"""

import fcntl
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from dicom_node.audit.chain import Chain, messages
from dicom_node.audit.events import AuditEvent
from dicom_node.audit.xml import as_xml
from dicom_node.domain.errors import NodeError, TryAgain
from dicom_node.network import syslog
from dicom_node.network.syslog import Server, frame

log = structlog.get_logger()

TURN_S = 1.0
"""Between two looks at what is to be flushed and sent."""
AT_ONCE = 200
"""Messages of one connection."""
LONGEST_PAUSE_S = 60.0
"""Between tries while the server is away."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a trail is written, who writes it, and who gets a copy."""

    file: Path
    source: str
    site: str = ""
    server: Server | None = None


class Trail:
    """Takes events from any thread; nothing that goes wrong here reaches them."""

    def __init__(self, place: Place, clock: Callable[[], float] = time.time) -> None:
        self.place = place
        self._clock = clock
        self._chain = Chain(place.file)
        self._lock = threading.Lock()
        self.gatherers: list[Callable[[bool], None]] = []
        """Called at each turn to give what they hold back; at the last (True) all of it."""
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._send_after = 0.0
        self._pause_s = TURN_S

    def note(self, event: AuditEvent) -> None:
        """Write one event; it survives the process, and within a second a power loss."""
        self._begin()  # also while the disk refuses: what is gathered must not grow for ever
        try:
            self._chain.append(as_xml(event, self.place.source, self.place.site))
        except TryAgain as error:
            log.error("audit_not_written", event_id=event.event.value, reason=str(error))

    def close(self) -> None:
        """Flush what was written, and send it if the server is there."""
        self._closing.set()
        if self._thread is None:
            return
        self._thread.join(2 * syslog.TIMEOUT_S)
        self._chain.close()

    def _begin(self) -> None:
        with self._lock:
            if self._thread is None and not self._closing.is_set():
                self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while not self._closing.wait(TURN_S):
            self._turn(last=False)
        self._turn(last=True)

    def _turn(self, *, last: bool) -> None:
        for gather in self.gatherers:
            gather(last)
        try:
            self._chain.flush()
            if self.place.server is not None and time.monotonic() >= self._send_after:
                while forward(self.place, self.place.server, self._clock()) == AT_ONCE:
                    pass
                self._pause_s = TURN_S
        except NodeError as error:
            log.error("audit_not_sent", error=type(error).__name__, reason=str(error))
            self._send_after = time.monotonic() + self._pause_s
            self._pause_s = min(LONGEST_PAUSE_S, 2 * self._pause_s)


def forward(place: Place, server: Server, now: float) -> int:
    """Send what the server has not had, at most AT_ONCE; says how many. Raises TryAgain.

    Nothing where another process is just sending.
    """
    path = sent_path(place.file)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            start = _position(os.read(descriptor, 64), place.file)
            batch = list(messages(place.file, start, AT_ONCE))
            host, process_id = socket.gethostname(), os.getpid()
            frames = [frame(message, now, host, process_id) for _, _, message in batch if message]
            if frames:
                syslog.send(frames, server)
            if batch:
                os.pwrite(descriptor, b"%-20d\n" % batch[-1][0], 0)
            os.utime(descriptor)  # nothing was waiting longer than from now on
            return len(batch)
        except BlockingIOError:
            return 0
        finally:
            os.close(descriptor)
    except OSError as error:
        raise TryAgain(f"audit.file {place.file}: {error.strerror}") from error


def backlog(file: Path) -> int:
    """Say how many bytes of the log the server has not had."""
    try:
        size = file.stat().st_size
    except FileNotFoundError:
        return 0
    try:
        return size - _position(sent_path(file).read_bytes(), file)
    except FileNotFoundError:
        return size


def behind_since(file: Path) -> float | None:
    """Say since when messages wait for the server (POSIX s); None where none does."""
    if not backlog(file):
        return None
    try:
        return sent_path(file).stat().st_mtime
    except FileNotFoundError:
        return file.stat().st_mtime


def sent_path(file: Path) -> Path:
    """Name the file that says how far a log was sent."""
    return file.with_name(file.name + ".sent")


def _position(noted: bytes, file: Path) -> int:
    """Read where sending ended; a log that is shorter was begun anew."""
    text = noted.strip()
    position = int(text) if text.isdigit() else 0
    return position if position <= file.stat().st_size else 0
