"""Structured logs: JSON lines, or colours on a terminal."""

import logging
import resource
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Literal

import structlog

from dicom_node.domain.errors import NodeError

log = structlog.get_logger()


def start_logs(form: Literal["auto", "json", "console"], level: str, role: str) -> None:
    """Send every event to stderr, one line each, with time, level and role.

    The events carry UIDs and job ids only; `structlog.get_logger()` is all that
    the other modules use. Of third-party loggers' warnings only the template is told.
    """
    readable = form == "console" or (form == "auto" and sys.stderr.isatty())
    renderer = structlog.dev.ConsoleRenderer() if readable else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        # No cache: a module's logger would keep the stream of its first event for ever.
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.bind_contextvars(role=role)
    logging.basicConfig(level=logging.WARNING, handlers=[_Discreet()])


class _Discreet(logging.Handler):
    """Tells of other libraries' records without the values in them."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log the template; a message that was put together elsewhere is left out."""
        template = str(record.msg) if record.args else ""
        kind = record.exc_info[0] if record.exc_info else None
        error = kind.__name__ if kind else ""
        log.warning("library_warned", library=record.name, template=template, error=error)


@contextmanager
def discreet() -> Iterator[None]:
    """Let a crash say where it happened and no more: its message may quote a patient.

    Python would print the message of an error that nobody caught, and warnings; the
    system would keep the memory of a process that dies of a signal.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    before = threading.excepthook
    threading.excepthook = _thread_crashed
    logging.captureWarnings(True)
    try:
        yield
    except (NodeError, BrokenPipeError):
        raise
    except Exception as error:  # noqa: BLE001 - the process's edge: it ends here
        log_failure("crashed", type(error), error.__traceback__)
        raise SystemExit(1) from None
    finally:
        logging.captureWarnings(False)
        threading.excepthook = before


def _thread_crashed(crash: threading.ExceptHookArgs) -> None:
    log_failure("thread_crashed", crash.exc_type, crash.exc_traceback)


FRAMES = 4


def log_failure(event: str, kind: type[BaseException], trace: TracebackType | None) -> None:
    """Log the error's class and its last frames.

    Not its message: that of an unforeseen error may quote a value, so a patient.
    """
    frames = traceback.extract_tb(trace)[-FRAMES:]
    where = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in frames]
    log.error(event, error=kind.__name__, where=where)
