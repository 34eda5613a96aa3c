"""Log lines that a stranger may cause, as many as a person reads."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

MOST_LINES = 20
"""About one subject in PERIOD_S; the others are counted."""
PERIOD_S = 60.0
MOST_SUBJECTS = 256
"""Which are told apart; more share what one may say."""


@dataclass
class _Period:
    begun_at: float
    told: int = 0
    kept_back: int = 0


class Throttle:
    """Says of a line whether it may be written; safe to share between threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._periods: dict[str, _Period] = {}

    def admit(self, subject: str) -> int | None:
        """Give how many lines were kept back before this one; None: keep it back too."""
        now = self._clock()
        with self._lock:
            if subject not in self._periods and len(self._periods) >= MOST_SUBJECTS:
                self._forget_old(now)
                subject = subject if len(self._periods) < MOST_SUBJECTS else ""
            period = self._periods.setdefault(subject, _Period(now))
            kept_back = 0
            if now - period.begun_at >= PERIOD_S:
                kept_back = period.kept_back
                period.begun_at, period.told, period.kept_back = now, 0, 0
            if period.told >= MOST_LINES:
                period.kept_back += 1
                return None
            period.told += 1
            return kept_back

    def _forget_old(self, now: float) -> None:
        """Drop subjects about which nothing is to be told any more."""
        self._periods = {
            subject: period
            for subject, period in self._periods.items()
            if period.kept_back or now - period.begun_at < PERIOD_S
        }


class ThrottledLog:
    """Writes events about hosts; says with the next one how many were kept back."""

    def __init__(self, throttle: Throttle | None = None) -> None:
        self._throttle = throttle or Throttle()
        self._log = structlog.get_logger()

    def warning(self, event: str, *, host: str, **facts: object) -> None:
        """Write a warning about a host."""
        kept_back = self._throttle.admit(host)
        if kept_back is not None:
            more = {"kept_back": kept_back} if kept_back else {}
            self._log.warning(event, host=host, **facts, **more)
