"""Wakes who waits for work: LISTEN and NOTIFY of Postgres."""

import threading
from typing import Literal

import psycopg
from sqlalchemy import Connection, Engine, text

Channel = Literal["jobs", "deliveries"]
PREFIX = "dicom_node_"
SILENT_S = 1.0
"""How long to wait for a notification; work that falls due later is found by looking."""


def notify(conn: Connection, channel: Channel) -> None:
    """Wake who listens, when the transaction commits; nothing to do on SQLite."""
    if conn.dialect.name == "postgresql":
        conn.execute(text(f"SELECT pg_notify('{PREFIX}{channel}', '')"))


class WorkNotifier:
    """Waits for a notification; without any, for a short pause."""

    def __init__(self, engine: Engine, channel: Channel) -> None:
        self._engine, self._channel = engine, channel
        self._line: psycopg.Connection[tuple[object, ...]] | None = None

    def wait(self, stop: threading.Event, pause_s: float) -> None:
        """Come back when work was notified, when `stop` is set, or soon."""
        if self._engine.dialect.name != "postgresql":
            stop.wait(pause_s)
            return
        try:
            line = self._line or self._listen()
            for _ in line.notifies(timeout=SILENT_S, stop_after=1):
                return
        except psycopg.Error:  # the server is away: poll, and try to listen again
            self.close()
            stop.wait(max(pause_s, 0.5))

    def close(self) -> None:
        """Stop listening."""
        if self._line is not None:
            self._line.close()
        self._line = None

    def _listen(self) -> psycopg.Connection[tuple[object, ...]]:
        url = self._engine.url.set(drivername="postgresql")
        self._line = psycopg.connect(
            url.render_as_string(hide_password=False), autocommit=True, connect_timeout=5
        )
        self._line.execute(f"LISTEN {PREFIX}{self._channel}")
        return self._line
