"""The polling loop of a role, until it is stopped."""

import threading
from collections.abc import Callable

import structlog

from dicom_node.domain.errors import NodeError
from dicom_node.process.logs import log_failure
from dicom_node.storage.database.notify import WorkNotifier

log = structlog.get_logger()

POLL_S = 0.05
LONGEST_PAUSE_S = 5.0
"""Between tries while the database is away."""
MOST_CRASHES = 12
"""A minute of errors that nobody foresaw."""


def take_turns(
    turn: Callable[[], object],
    stop: threading.Event,
    orphaned: Callable[[], bool],
    notifier: WorkNotifier | None = None,
) -> None:
    """Take turns until `stop`; pause when there is nothing to do, or a fault passes.

    `turn` says whether it did anything. With a `notifier` the pause ends when work comes.
    Also an error that nobody foresaw, or too little memory, ends no loop at once: the
    destination or queue that it serves would wait. Raises it when it comes
    MOST_CRASHES times in a row: then a new process may fare better.
    """
    pause_s, crashes = POLL_S, 0
    while not stop.is_set() and not orphaned():
        try:
            pause_s = 0.0 if turn() else POLL_S
            crashes = 0
            if pause_s and notifier is not None:
                notifier.wait(stop, pause_s)
                pause_s = 0.0
        except NodeError as error:
            pause_s = min(LONGEST_PAUSE_S, max(0.5, 2 * pause_s))
            log.error("turn_failed", error=type(error).__name__, reason=str(error), pause_s=pause_s)
        except Exception as error:
            pause_s, crashes = LONGEST_PAUSE_S, crashes + 1
            log_failure("turn_crashed", type(error), error.__traceback__)
            if crashes >= MOST_CRASHES:
                raise
        if pause_s:
            stop.wait(pause_s)
