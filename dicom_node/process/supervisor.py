"""Start the roles as processes and keep them running."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

log = structlog.get_logger()

DRAIN_S = 30.0
"""How long roles may finish what they hold after SIGTERM."""
ROLE_DRAIN_S = 27.0
"""Of that, how long a role takes itself; one that runs alone has nobody to end it."""
CONNECTIONS_DRAIN_S = 20.0
"""Of that, how long connections that are open at SIGTERM may go on."""
OVERDUE = 1
"""Exit code of a role that did not finish in time."""
LONGEST_PAUSE_S = 30.0
STEADY_S = 60.0
"""A role that ran this long starts again without a pause."""
BAD_SETTINGS = 2
"""Exit code of a role whose configuration is wrong."""
SUPERVISOR_PID = "DICOM_NODE_SUPERVISOR_PID"

PROGRAM = (sys.executable, "-m", "dicom_node")


@contextmanager
def stop_signal(drain_s: float | None = None) -> Iterator[threading.Event]:
    """Give an event that SIGTERM and SIGINT set.

    With `drain_s` the process ends so long after the signal, whatever it is doing:
    what it held is done again by its successor, as after a power loss.
    """
    stop, ended = threading.Event(), threading.Event()

    def end_in_time() -> None:
        if not ended.wait(drain_s):
            log.error("drain_overdue", drain_s=drain_s)
            os._exit(OVERDUE)

    def on_signal(*_: object) -> None:
        if drain_s is not None and not stop.is_set():
            threading.Thread(target=end_in_time, name="deadline", daemon=True).start()
        stop.set()

    before = {
        number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield stop
    finally:
        ended.set()
        for number, handler in before.items():
            signal.signal(number, handler)


def orphaned() -> bool:
    """Say whether the supervisor that started this process is gone."""
    supervisor = os.environ.get(SUPERVISOR_PID)
    return supervisor is not None and os.getppid() != int(supervisor)


def wait_for_stop(stop: threading.Event, threads: Sequence[threading.Thread] = ()) -> None:
    """Wait for the signal, for the supervisor's death, or for that of a thread."""
    while not stop.wait(1.0):
        if orphaned():
            stop.set()
        if not all(thread.is_alive() for thread in threads):
            return


@dataclass
class Role:
    """One supervised process: its name, command line and how it has fared."""

    name: str
    command: tuple[str, ...]
    child: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    start_again_at: float = 0.0
    failures: int = 0

    def start(self, now: float) -> None:
        """Start the process; it gets no input and our outputs."""
        environment = {**os.environ, SUPERVISOR_PID: str(os.getpid())}
        self.child = subprocess.Popen(  # noqa: S603 - our own entry point, no shell
            self.command, stdin=subprocess.DEVNULL, env=environment
        )
        self.started_at = now
        log.info("role_started", name=self.name, pid=self.child.pid)

    def note_exit(self, now: float) -> int | None:
        """Return the exit code when the process has ended, and plan the next start."""
        code = self.child.poll() if self.child else None
        if code is None:
            return None
        self.child = None
        self.failures = 0 if now - self.started_at > STEADY_S else self.failures + 1
        pause_s = min(LONGEST_PAUSE_S, 0.5 * 2**self.failures) if self.failures else 0.0
        self.start_again_at = now + pause_s
        log.error("role_ended", name=self.name, exit_code=code, start_again_in_s=pause_s)
        return code


def run_alone(*arguments: str) -> int:
    """Run one of our commands to its end, in a process whose memory goes with it."""
    command = (*PROGRAM, *arguments)
    quiet = subprocess.DEVNULL
    return subprocess.run(command, stdin=quiet, stdout=quiet, check=False).returncode  # noqa: S603 - our own entry point, no shell


def supervise(names: Mapping[str, tuple[str, ...]], stop: threading.Event) -> int:
    """Run a process per name until `stop`; restart those that end by themselves.

    Returns 0 after a clean stop, 2 when a role says at the beginning that the settings
    are wrong. Says one so later (a model or certificate was damaged meanwhile), it is
    started again and again, and the others go on: images still come in.
    """
    roles = [Role(name, (*PROGRAM, *arguments)) for name, arguments in names.items()]
    exit_code, began = 0, time.monotonic()
    while not stop.is_set() and exit_code == 0:
        now = time.monotonic()
        for role in roles:
            if role.child is None and now >= role.start_again_at:
                role.start(now)
            elif role.note_exit(now) == BAD_SETTINGS and now - began < STEADY_S:
                exit_code = BAD_SETTINGS
        stop.wait(0.2)
    _stop(roles)
    return exit_code


def _stop(roles: list[Role]) -> None:
    running = [role.child for role in roles if role.child is not None]
    for child in running:
        child.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + DRAIN_S
    for child in running:
        try:
            child.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            log.error("role_killed", pid=child.pid, drain_s=DRAIN_S)
            child.kill()
            child.wait()
