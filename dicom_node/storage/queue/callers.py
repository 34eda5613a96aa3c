"""Callers that nobody configured: who was turned away, whom a person approved."""

from collections.abc import Sequence

from sqlalchemy import Engine, Table, and_, delete, select
from sqlalchemy.sql import ColumnElement

from dicom_node.domain.operations.status import Caller
from dicom_node.storage.database.rows import insert_new, key, upsert
from dicom_node.storage.database.schema import approved_callers, callers, instances, objects
from dicom_node.storage.database.transactions import transaction

MOST = 1000
"""Unknown callers that are remembered; who calls under ever new names fills no disk."""


def record_caller(engine: Engine, ae: str, host: str, now: float) -> None:
    """Remember an unknown caller; of too many those that called longest ago are forgotten."""
    call = {"ae": key(ae), "host": key(host), "times": 1, "first_at": now, "last_at": now}
    oldest_kept = select(callers.c.last_at).order_by(callers.c.last_at.desc())
    last_at = oldest_kept.offset(MOST - 1).limit(1).scalar_subquery()
    with transaction(engine) as conn:
        upsert(conn, callers, call, {"times": callers.c.times + 1, "last_at": now})
        conn.execute(delete(callers).where(callers.c.last_at < last_at))


def is_approved(engine: Engine, ae: str, host: str) -> bool:
    """Say whether a person let this title in from this address; raises TryAgain."""
    with transaction(engine, writing=False) as conn:
        found = select(approved_callers.c.ae).where(_is(approved_callers, ae, host))
        return conn.scalar(found) is not None


def approve(engine: Engine, ae: str, host: str, now: float) -> bool:
    """Approve a caller that was turned away, at once; False where none such has.

    Raises TryAgain as `transaction`.
    """
    with transaction(engine) as conn:
        gone = conn.execute(delete(callers).where(_is(callers, ae, host)))
        if not gone.rowcount:
            return False
        row = {"ae": key(ae), "host": key(host), "approved_at": now}
        conn.execute(insert_new(conn, approved_callers), row)
        return True


def forget(engine: Engine, ae: str, host: str) -> bool:
    """Approve a caller no more, and forget it; False where it is not known."""
    with transaction(engine) as conn:
        tables = (approved_callers, callers)
        gone = [conn.execute(delete(table).where(_is(table, ae, host))) for table in tables]
        return any(deleted.rowcount for deleted in gone)


def list_callers(engine: Engine) -> tuple[tuple[Caller, ...], tuple[tuple[str, str, float], ...]]:
    """Give who waits, the latest first, and who was let in: title, address, when."""
    with transaction(engine, writing=False) as conn:
        waiting = conn.execute(select(callers).order_by(callers.c.last_at.desc())).all()
        let_in = select(approved_callers).order_by(approved_callers.c.ae, approved_callers.c.host)
        return (
            tuple(Caller(row.ae, row.host, row.times, row.last_at) for row in waiting),
            tuple((row.ae, row.host, row.approved_at) for row in conn.execute(let_in)),
        )


def _is(table: Table, ae: str, host: str) -> ColumnElement[bool]:
    return and_(table.c.ae == key(ae), table.c.host == key(host))


PART = 500
"""UIDs asked for at once; SQLite takes 32,766 parameters, older ones 999."""


def known_uids(engine: Engine, sop_instance_uids: Sequence[str]) -> set[str]:
    """Say which of the UIDs were received, or belong to a result of this node.

    A received instance stays known after its file has expired, until its row is
    pruned (retention.log_days). Raises TryAgain as `transaction`.
    """
    named = {key(uid): uid for uid in sop_instance_uids}
    keys, known = list(named), set[str]()
    with transaction(engine, writing=False) as conn:
        for start in range(0, len(keys), PART):
            for table in (instances, objects):
                column = table.c.sop_instance_uid
                found = select(column).where(column.in_(keys[start : start + PART]))
                known.update(named[ae] for ae in conn.execute(found).scalars())
    return known
