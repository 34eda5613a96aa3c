"""One time for all hosts that work on a database."""

import time
from math import inf
from threading import Lock

from sqlalchemy import Engine, text

from dicom_node.domain.errors import NodeError
from dicom_node.storage.database.transactions import transaction

AGAIN_S = 60.0
"""How long a comparison with the server's clock holds."""
AWAY_S = 5.0
"""How long none is tried after one that failed: it may have taken as long itself."""


class DatabaseClock:
    """The time by the database server's clock; safe to share between threads.

    Leases and due times are compared by several hosts, whose own clocks may differ by
    minutes and may be set back. Between two looks at the server the time goes on by
    the monotonic clock; while the server is away it simply goes on. An SQLite
    database has one host, and so that host's clock.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = Lock()
        self._server, self._local = time.time(), time.monotonic()
        self._look_at = inf
        if engine.dialect.name == "postgresql":
            self._look()  # before anybody asks: a lease by this host's clock may be over

    def __call__(self) -> float:
        """Give POSIX seconds; one caller in a while waits for the server."""
        if self._engine.dialect.name != "postgresql":
            return time.time()
        with self._lock:
            due = time.monotonic() >= self._look_at
            if due:  # the others go on with what is known
                self._look_at = time.monotonic() + AWAY_S
        if due:
            self._look()
        with self._lock:
            return self._server + time.monotonic() - self._local

    def _look(self) -> None:
        asked = time.monotonic()
        try:
            with transaction(self._engine, writing=False) as conn:
                epoch = conn.scalar(text("SELECT extract(epoch FROM clock_timestamp())"))
        except NodeError:  # the database is away; whoever needs it will say so
            self._look_at = time.monotonic() + AWAY_S
            return
        answered = time.monotonic()
        with self._lock:
            self._server, self._local = float(epoch), (asked + answered) / 2
            self._look_at = answered + AGAIN_S
