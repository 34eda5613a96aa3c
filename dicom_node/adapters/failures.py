"""Says where something failed, and nothing that it was working on."""

import traceback
from types import TracebackType

import structlog

log = structlog.get_logger()

FRAMES = 4


def tell_failure(event: str, kind: type[BaseException], trace: TracebackType | None) -> None:
    """Log the error's class and its last frames.

    Not its message: that of an unforeseen error may quote a value, so a patient.
    """
    frames = traceback.extract_tb(trace)[-FRAMES:]
    where = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in frames]
    log.error(event, error=kind.__name__, where=where)
