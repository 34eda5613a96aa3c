"""Counts rows once into counters that only grow.

The tables cannot be counted at each look: retention prunes them, so a counter
would fall, which a monitoring system takes for a restart. A row is marked and its
tally raised in one transaction, so each is counted exactly once, whatever the
hosts' clocks say and however many processes count.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Row,
    Select,
    Table,
    exists,
    literal_column,
    select,
    update,
)

from dicom_node.domain.operations.monitoring import Tally, bucket_of, reason_class
from dicom_node.domain.work import State
from dicom_node.storage.database.rows import insert_into
from dicom_node.storage.database.schema import deliveries, instances, jobs, tallies
from dicom_node.storage.database.transactions import transaction
from dicom_node.storage.queue.jobs import NOT_ANALYSED, order_at
from dicom_node.storage.queue.transitions import in_state

MOST_AT_ONCE = 500
"""Rows marked in one transaction."""

Amounts = Counter[tuple[str, tuple[str, ...]]]
"""What to add, by name and labels."""

# compared with literals: a bound parameter would not use a partial index
_ZERO: ColumnElement[int] = literal_column("0")
_ONE: ColumnElement[int] = literal_column("1")
_UNRECEIVED = select(instances.c.id).where(instances.c.counted == _ZERO)
_UNSETTLED = select(instances.c.id).where(
    instances.c.counted == _ONE, instances.c.outcome.is_not(None)
)
_ENDED_JOBS = select(jobs.c.id).where(jobs.c.counted == _ZERO, in_state(jobs, State.COMPLETED))
_ENDED_DELIVERIES = select(deliveries.c.id).where(
    deliveries.c.counted == _ZERO, in_state(deliveries, State.COMPLETED)
)


def count_rows(engine: Engine, names: Mapping[str, str]) -> int:
    """Count what is new; says how many rows.

    `names` gives the name of a sender by its AE title; others are "other", so that
    strangers cannot make endlessly many labels.
    """
    counted = 0
    while _anything(engine):
        with transaction(engine, durable=False) as conn:
            rows, amounts = _count_some(conn, names)
            _add(conn, amounts)
        counted += rows
        if rows == 0:  # another process has them
            break
    return counted


def read_tallies(conn: Connection) -> tuple[Tally, ...]:
    """Give every counter."""
    rows = conn.execute(select(tallies).order_by(tallies.c.name, tallies.c.labels))
    return tuple(Tally(row.name, tuple(json.loads(row.labels)), row.value) for row in rows)


def _anything(engine: Engine) -> bool:
    with transaction(engine, writing=False) as conn:
        chosen = (_UNRECEIVED, _UNSETTLED, _ENDED_JOBS, _ENDED_DELIVERIES)
        return any(conn.execute(first(statement)).first() is not None for statement in chosen)


def first(chosen: Select[int], most: int = 1) -> Select[int]:
    """Take the first of what is chosen; without an order the planner passes its index by."""
    return chosen.order_by(chosen.selected_columns[0]).limit(most)


def _count_some(conn: Connection, names: Mapping[str, str]) -> tuple[int, Amounts]:
    amounts: Amounts = Counter()
    received = _mark(conn, instances, _UNRECEIVED, 1)
    for row in received:
        amounts["received", (names.get(row.calling_ae, "other"),)] += 1
    settled = _mark(conn, instances, _UNSETTLED, 2)
    for row in settled:
        if row.outcome == "analysed":
            amounts["analysed", ()] += 1
        else:
            reason = reason_class(row.outcome.removeprefix(NOT_ANALYSED))
            amounts["not_analysed", (reason,)] += 1
    read = _mark(conn, jobs, _ENDED_JOBS, 1)
    for row in read:
        _add_turnaround(amounts, "wait", row.pipeline, row.claimed_at - row.created_at)
        _add_turnaround(amounts, "read", row.pipeline, row.finished_at - row.claimed_at)
    sent = _mark(conn, deliveries, _ENDED_DELIVERIES, 1)
    received_at = _first_readings(conn, [row.instance_id for row in sent])
    for row in sent:
        _add_turnaround(amounts, "deliver", row.destination, row.finished_at - row.created_at)
        if row.instance_id in received_at:
            total_s = row.finished_at - received_at[row.instance_id]
            _add_turnaround(amounts, "total", row.destination, total_s)
    return len(received) + len(settled) + len(read) + len(sent), amounts


def _mark(conn: Connection, table: Table, chosen: Select[int], counted: int) -> Sequence[Row[Any]]:
    some = first(chosen, MOST_AT_ONCE).with_for_update(skip_locked=True)
    ids = conn.execute(some).scalars().all()
    if not ids:
        return ()
    marking = update(table).where(table.c.id.in_(ids)).values(counted=counted)
    return conn.execute(marking.returning(table)).all()


def _first_readings(conn: Connection, instance_ids: Sequence[int]) -> dict[int, float]:
    """Say when images were received, without those that were read again later.

    `reanalyse` puts an image's place in the queue behind where any new one was.
    """
    latest = jobs.c.created_at + order_at(1.0, "low")  # a second for rounding
    again = exists().where(jobs.c.instance_id == instances.c.id, jobs.c.order_at > latest)
    when = select(instances.c.id, instances.c.received_at)
    rows = conn.execute(when.where(instances.c.id.in_(instance_ids), ~again))
    return {row.id: row.received_at for row in rows}


def _add_turnaround(amounts: Amounts, step: str, where: str, seconds: float) -> None:
    seconds = max(0.0, seconds)  # clocks of two hosts
    amounts["turnaround", (step, where, f"{bucket_of(seconds):g}")] += 1
    # whole microseconds: a Counter of numbers of one type
    amounts["turnaround_us", (step, where)] += round(seconds * 1e6)


def _add(conn: Connection, amounts: Amounts) -> None:
    """Raise the tallies, always in one order: two processes cannot wait for each other."""
    insert = insert_into(conn, tallies)
    adding = insert.on_conflict_do_update(
        index_elements=["name", "labels"], set_={"value": tallies.c.value + insert.excluded.value}
    )
    for (name, labels), amount in sorted(amounts.items()):
        conn.execute(adding, {"name": name, "labels": json.dumps(labels), "value": amount})
