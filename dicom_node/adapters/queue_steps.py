"""The steps in the life of a job or a delivery, as SQL.

Every change of `state` is made by `step`, so the transition table of
`domain/work.py` is what guards the rows: an UPDATE finds only rows in a state
from which the event is lawful.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Row,
    Select,
    Table,
    Update,
    literal_column,
    select,
    update,
)

from dicom_node.adapters.queue_rows import clip, insert_into
from dicom_node.adapters.schema import alarms
from dicom_node.domain.errors import LeaseLost
from dicom_node.domain.work import TRANSITIONS, Claim, DeliveryBatch, Event, RetryRule, State

DIED = "the worker died or lost its lease"


def in_state(table: FromClause, *states: State) -> ColumnElement[bool]:
    """Compare with literals: a bound parameter would not use a partial index."""
    names: list[ColumnElement[str]] = [literal_column(f"'{state.value}'") for state in states]
    return table.c.state == names[0] if len(names) == 1 else table.c.state.in_(names)


def step(table: Table, event: Event) -> Update:
    """Start the UPDATE that takes rows through one event of the transition table."""
    sources = tuple(source for source, name in TRANSITIONS if name is event)
    (target,) = {TRANSITIONS[source, event] for source in sources}
    return update(table).where(in_state(table, *sources)).values(state=target.value)


def claim_step(table: Table, worker: str, now: float, lease_s: float) -> Update:
    """Start the UPDATE that leases rows to `worker`."""
    return step(table, Event.CLAIM).values(
        worker=worker,
        lease_until=now + lease_s,
        claim_token=now + lease_s,
        claimed_at=now,
        attempt=table.c.attempt + 1,
    )


def held_step(
    conn: Connection,
    statement: Update,
    held: Claim | DeliveryBatch,
    ids: Sequence[int],
) -> None:
    """Run `statement` on rows that `held` still holds; raises LeaseLost."""
    if not ids:
        return
    table = statement.table
    assert isinstance(table, Table)  # noqa: S101 - for the type checker
    statement = statement.where(
        table.c.id.in_(ids),
        table.c.worker == held.worker,
        table.c.claim_token == held.lease_until,
    ).values(lease_until=None, claim_token=None)
    if conn.execute(statement).rowcount != len(ids):
        raise LeaseLost(f"{held.worker} no longer holds {table.name} {list(ids)}")


def extend(
    conn: Connection, table: Table, held: Claim | DeliveryBatch, ids: Sequence[int], until: float
) -> bool:
    """Push a lease on; say whether all rows are still held."""
    statement = (
        update(table)
        .where(
            in_state(table, State.EXECUTING),
            table.c.id.in_(ids),
            table.c.worker == held.worker,
            table.c.claim_token == held.lease_until,
        )
        .values(lease_until=until)
    )
    return conn.execute(statement).rowcount == len(ids)


def rescue(conn: Connection, table: Table, rule: RetryRule, now: float) -> list[Row[Any]]:
    """Free the rows whose lease ran out; poisonous ones are discarded.

    Gives each row with its new state.
    """
    late = _late(table, now)
    rows = conn.execute(late.with_for_update(skip_locked=True)).all()
    poison = [row.id for row in rows if row.deaths + 1 >= rule.attempts]
    others = [row.id for row in rows if row.deaths + 1 < rule.attempts]
    freed = {"deaths": table.c.deaths + 1, "lease_until": None, "claim_token": None}
    moved: list[Row[Any]] = []
    for ids, event, extra in (
        (others, Event.RESCUE, {"last_error": DIED}),
        (poison, Event.GIVE_UP, {"last_error": f"{DIED} {rule.attempts} times"}),
    ):
        if ids:
            values = freed | extra | ({"finished_at": now} if event is Event.GIVE_UP else {})
            freeing = step(table, event).where(table.c.id.in_(ids)).values(**values)
            moved += conn.execute(freeing.returning(table)).all()
    return moved


def _late(table: Table, now: float) -> Select[Any]:
    return select(table.c.id, table.c.deaths).where(
        in_state(table, State.EXECUTING), table.c.lease_until < now
    )


def raise_alarm(conn: Connection, kind: str, words: str, now: float) -> None:
    """Open an alarm, or count one that is known and open it again."""
    insert = insert_into(conn, alarms).values(
        kind=kind, words=clip(words), times=1, first_at=now, last_at=now
    )
    conn.execute(
        insert.on_conflict_do_update(
            index_elements=["kind", "words"],
            set_={"times": alarms.c.times + 1, "last_at": now, "closed_at": None},
        )
    )


def close_alarms(conn: Connection, kind: str, now: float) -> int:
    """Close the open alarms of a kind; say how many."""
    closing = update(alarms).where(alarms.c.kind == kind, alarms.c.closed_at.is_(None))
    return conn.execute(closing.values(closed_at=now)).rowcount
