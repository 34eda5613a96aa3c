"""Counts what peers keep and what they do not yet, for people to look at."""

from collections.abc import Iterator

from sqlalchemy import Connection, and_, exists, func, select

from dicom_node.adapters.queue_steps import in_state
from dicom_node.adapters.schema import deliveries, objects
from dicom_node.adapters.schema_commitments import commitments
from dicom_node.domain.census import Commitments, Moment
from dicom_node.domain.work import State

OPEN = ("due", "asked", "sending")


def counted(conn: Connection, now: float) -> tuple[Commitments, ...]:
    """Say of each peer how much it took is committed, and how much is not."""
    # what was to be sent again and is not: another object took its place
    replaced = exists().where(
        deliveries.c.id == commitments.c.delivery_id, in_state(deliveries, State.CANCELLED)
    )
    moot = and_(commitments.c.state == "sending", replaced)
    counting = (
        select(
            commitments.c.destination,
            commitments.c.state,
            func.count().label("rows"),
            func.min(commitments.c.sent_at).label("oldest_at"),
        )
        .where(~moot)
        .group_by(commitments.c.destination, commitments.c.state)
        .order_by(commitments.c.destination)
    )
    rows = conn.execute(counting).all()
    told = []
    for name in dict.fromkeys(row.destination for row in rows):
        by_state = {row.state: row for row in rows if row.destination == name}
        waiting = [by_state[state] for state in OPEN if state in by_state]
        told.append(
            Commitments(
                destination=name,
                uncommitted=sum(row.rows for row in waiting),
                committed=by_state["committed"].rows if "committed" in by_state else 0,
                given_up=by_state["given up"].rows if "given up" in by_state else 0,
                oldest_s=max(0.0, now - min(row.oldest_at for row in waiting)) if waiting else None,
            )
        )
    return tuple(told)


def moments(conn: Connection, uids: dict[int, str]) -> Iterator[Moment]:
    """Tell when the results of these instances were committed; `uids` by row id."""
    found = conn.execute(
        select(
            commitments.c.settled_at,
            commitments.c.instance_id,
            commitments.c.destination,
            commitments.c.transaction_uid,
            objects.c.kind,
        )
        .join_from(commitments, objects, commitments.c.object_id == objects.c.id)
        .where(commitments.c.instance_id.in_(list(uids)), commitments.c.state == "committed")
    )
    for row in found:
        words = f"{row.destination}: transaction {row.transaction_uid}"
        yield Moment(row.settled_at, "committed", uids[row.instance_id], row.kind, words)
