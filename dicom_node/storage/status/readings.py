"""Reads from the database what the metrics show."""

from collections.abc import Iterator, Mapping

from sqlalchemy import Connection, Engine, Select, Table, func, literal, select

from dicom_node.domain.operations.monitoring import Backlog, Drift, Readings
from dicom_node.domain.work import State
from dicom_node.storage.database.schema import alarms, deliveries, instances, jobs, score_references
from dicom_node.storage.database.transactions import transaction
from dicom_node.storage.queue.transitions import in_state
from dicom_node.storage.status.counters import read_tallies
from dicom_node.storage.status.heartbeats import read_disk, read_heartbeats

OPEN = (State.AVAILABLE, State.EXECUTING, State.DISCARDED)
Counts = dict[State, tuple[int, float]]
"""Number of rows, when the oldest was made."""


def take_readings(engine: Engine, names: Mapping[str, str], now: float) -> Readings:
    """Read everything at one moment; `names` gives a sender's by its AE title.

    Finished rows are not touched, however many there are. Raises TryAgain.
    """
    with transaction(engine, writing=False) as conn:
        return Readings(
            at=now,
            tallies=read_tallies(conn),
            backlogs=tuple(_backlogs(conn, now)),
            heartbeats=read_heartbeats(conn),
            alarms=_alarms(conn),
            senders=tuple(_senders(conn, names)),
            drifts=_drifts(conn),
            disk=tuple(read_disk(conn)),
        )


def _backlogs(conn: Connection, now: float) -> Iterator[Backlog]:
    queues: dict[str, Counts] = {"": {}}
    for table in (jobs, deliveries):
        for state in OPEN:  # one by one: each has its partial index
            for name, count, oldest_at in conn.execute(counting(table, state)):
                queues.setdefault(name, {})[state] = (count, oldest_at)
    for name, counts in sorted(queues.items()):
        waiting = [at for state, (_, at) in counts.items() if state is not State.DISCARDED]
        available, executing, discarded = (counts.get(state, (0, 0.0))[0] for state in OPEN)
        oldest_s = max(0.0, now - min(waiting)) if waiting else 0.0
        yield Backlog(name, available, executing, discarded, oldest_s)


def counting(table: Table, state: State) -> Select[str, int, float]:
    """Count the rows in one state, with when the oldest was made, by destination."""
    where = literal("") if table is jobs else deliveries.c.destination
    asked = select(where, func.count(), func.min(table.c.created_at))
    return asked.where(in_state(table, state)).group_by(where)


def _alarms(conn: Connection) -> tuple[tuple[str, int], ...]:
    still = alarms.c.closed_at.is_(None)
    counting = select(alarms.c.kind, func.count()).where(still).group_by(alarms.c.kind)
    return tuple((kind, count) for kind, count in conn.execute(counting.order_by(alarms.c.kind)))


def _senders(conn: Connection, names: Mapping[str, str]) -> Iterator[tuple[str, float]]:
    last = select(func.max(instances.c.received_at))
    for ae, name in names.items():
        at = conn.scalar(last.where(instances.c.calling_ae == ae))
        if at is not None:
            yield name, at


def _drifts(conn: Connection) -> tuple[Drift, ...]:
    table = score_references
    measured = select(table.c.pipeline, table.c.finding, table.c.psi).where(
        table.c.psi.is_not(None)
    )
    newest_last = conn.execute(measured.order_by(table.c.measured_at))
    latest = {(row.pipeline, row.finding): row.psi for row in newest_last}
    return tuple(Drift(*who, psi) for who, psi in sorted(latest.items()))
