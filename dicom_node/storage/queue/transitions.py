"""The steps in the life of a job or a delivery, as SQL.

Every change of `state` is made by `step`, so the transition table of
`domain/work.py` is what guards the rows: an UPDATE finds only rows in a state
from which the event is lawful. Statements are built once, at import: building
one takes SQLAlchemy longer than SQLite takes to run it.
"""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Double,
    FromClause,
    Row,
    Table,
    Text,
    Update,
    bindparam,
    literal_column,
    or_,
    select,
    update,
)

from dicom_node.domain.errors import LeaseLost
from dicom_node.domain.work import TRANSITIONS, Claim, DeliveryBatch, Event, RetryRule, State
from dicom_node.storage.database.rows import clip, one_or_many, upsert
from dicom_node.storage.database.schema import alarms

LONGEST_LEASE_S = 600.0
"""A lease that ends later was given by a clock that has been set back since."""
DIED = "the worker died or lost its lease"
UNFINISHED = (State.AVAILABLE, State.EXECUTING)

NOW = bindparam("now", type_=Double)
UNTIL = bindparam("until", type_=Double)
TOKEN = bindparam("token", type_=Text)
HOLDER = bindparam("holder", type_=Text)
WORDS = bindparam("words", type_=Text)
ROW_ID = bindparam("row_id", type_=BigInteger)
IDS = bindparam("ids", type_=BigInteger, expanding=True)


def in_state(table: FromClause, *states: State) -> ColumnElement[bool]:
    """Compare with literals: a bound parameter would not use a partial index."""
    names: list[ColumnElement[str]] = [literal_column(f"'{state.value}'") for state in states]
    return table.c.state == names[0] if len(names) == 1 else table.c.state.in_(names)


def step(table: Table, event: Event) -> Update:
    """Start the UPDATE that takes rows through one event of the transition table."""
    sources = tuple(source for source, name in TRANSITIONS if name is event)
    (target,) = {TRANSITIONS[source, event] for source in sources}
    return (
        update(table)
        .where(in_state(table, *sources))
        .values(state=literal_column(f"'{target.value}'"))
    )


def claim_step(table: Table) -> Update:
    """Start the UPDATE that leases rows; `lease` gives its parameters."""
    return step(table, Event.CLAIM).values(
        worker=HOLDER,
        lease_until=UNTIL,
        claim_token=TOKEN,
        claimed_at=NOW,
        attempt=table.c.attempt + 1,
    )


def lease(worker: str, now: float, lease_s: float, token: str) -> dict[str, object]:
    """Give the parameters of a claim."""
    return {"holder": worker, "now": now, "until": now + lease_s, "token": token}


def new_token() -> str:
    """Make what tells one claim from any other; times and names may repeat."""
    return uuid.uuid4().hex


def held_step(table: Table, event: Event) -> Update:
    """Start an UPDATE that only the holder of the lease can do."""
    return (
        step(table, event)
        .where(table.c.worker == HOLDER, table.c.claim_token == TOKEN)
        .values(lease_until=None, claim_token=None)
    )


def run_held(
    conn: Connection,
    statement: Update,
    held: Claim | DeliveryBatch,
    rows: Sequence[Mapping[str, object]],
    expected: int,
) -> None:
    """Run a `held_step`, once for each of `rows`; raises LeaseLost."""
    if not rows:
        return
    holder = {"holder": held.worker, "token": held.token}
    moved = conn.execute(statement, one_or_many([holder | dict(row) for row in rows])).rowcount
    if moved != expected:
        raise LeaseLost(f"{held.worker} no longer holds this work")


def extend_step(table: Table) -> Update:
    """Build the UPDATE that pushes a lease on."""
    held = (table.c.worker == HOLDER, table.c.claim_token == TOKEN)
    chosen = in_state(table, State.EXECUTING), table.c.id.in_(IDS)
    return update(table).where(*chosen, *held).values(lease_until=UNTIL)


def rescue(conn: Connection, table: Table, rule: RetryRule, now: float) -> list[Row[Any]]:
    """Free the rows whose lease ran out; poisonous ones are discarded.

    Gives each row with its new state.
    """
    ended = or_(table.c.lease_until < now, table.c.lease_until > now + LONGEST_LEASE_S)
    late = select(table.c.id, table.c.deaths).where(in_state(table, State.EXECUTING), ended)
    rows = conn.execute(late.with_for_update(skip_locked=True)).all()
    poison = [row.id for row in rows if row.deaths + 1 >= rule.attempts]
    others = [row.id for row in rows if row.deaths + 1 < rule.attempts]
    freed = {"deaths": table.c.deaths + 1, "lease_until": None, "claim_token": None}
    moved: list[Row[Any]] = []
    for ids, event, extra in (
        (others, Event.RESCUE, {"last_error": DIED}),
        (poison, Event.GIVE_UP, {"last_error": died_often(rule), "finished_at": now}),
    ):
        if ids:
            freeing = step(table, event).where(table.c.id.in_(ids)).values(**freed, **extra)
            moved += conn.execute(freeing.returning(table)).all()
    return moved


def recall(conn: Connection, table: Table, rule: RetryRule, now: float) -> None:
    """Make due what a clock that was set back since has put off too far."""
    farthest = now + 2 * rule.longest_s
    waiting = in_state(table, State.AVAILABLE), table.c.due_at > farthest
    conn.execute(update(table).where(*waiting).values(due_at=now))


def died_often(rule: RetryRule) -> str:
    """Say why work was set aside without an error of its own."""
    return f"{DIED} {rule.attempts} times"


def raise_alarm(conn: Connection, kind: str, words: str, now: float) -> None:
    """Open an alarm, or count one that is known and open it again."""
    row = {"kind": kind, "words": clip(words), "times": 1, "first_at": now, "last_at": now}
    again = {"times": alarms.c.times + 1, "last_at": now, "closed_at": None}
    upsert(conn, alarms, row, again, ("kind", "words"))


def close_alarms(conn: Connection, kind: str, now: float, prefix: str = "") -> int:
    """Close the open alarms of a kind whose words begin with `prefix`; say how many."""
    closing = update(alarms).where(
        alarms.c.kind == kind,
        alarms.c.closed_at.is_(None),
        alarms.c.words.startswith(prefix, autoescape=True),
    )
    return conn.execute(closing.values(closed_at=now)).rowcount
