"""Structured logs: JSON lines, or colours on a terminal."""

import logging
import sys
from typing import Literal

import structlog


def start_logs(form: Literal["auto", "json", "console"], level: str, role: str) -> None:
    """Send every event to stderr, one line each, with time, level and role.

    The events carry UIDs and job ids only; `structlog.get_logger()` is all that
    the other modules use. Third-party loggers are kept at warnings.
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
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
