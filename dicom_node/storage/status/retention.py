"""Finds rows that were kept long enough, and removes them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Engine, Table, delete, exists, or_, select, update

from dicom_node.domain.archive import FileKind, KeptFile
from dicom_node.domain.work import State
from dicom_node.storage.database.schema import (
    alarms,
    callers,
    commitments,
    deliveries,
    escalations,
    instances,
    jobs,
    objects,
    results,
)
from dicom_node.storage.database.transactions import transaction
from dicom_node.storage.queue.transitions import UNFINISHED, in_state

_UNCOMMITTED = exists().where(
    commitments.c.object_id == objects.c.id, commitments.c.state.in_(["due", "asked"])
)
"""One that is sent again has its delivery to do, one that was given up a dead letter."""


@dataclass(frozen=True, slots=True)
class SqlRetention:
    """`domain.retention.Retention` over one engine."""

    engine: Engine

    def old_files(
        self, of: FileKind, before: float, dead_before: float, limit: int
    ) -> tuple[KeptFile, ...]:
        """List files stored before `before` on which no work is left to do."""
        if of == "instances":
            table, at = instances, instances.c.received_at
            waits = or_(
                _has(jobs, instances, "instance_id", *UNFINISHED),
                _has(deliveries, instances, "instance_id", *UNFINISHED),
            )
            dead = _has(jobs, instances, "instance_id", State.DISCARDED)
        else:
            table, at = objects, objects.c.created_at
            waits = or_(_has(deliveries, objects, "object_id", *UNFINISHED), _UNCOMMITTED)
            dead = _has(deliveries, objects, "object_id", State.DISCARDED)
        old = at < before, ~waits, ~dead | (at < dead_before)
        listing = select(table.c.id, table.c.file_key).where(table.c.expired_at.is_(None), *old)
        with transaction(self.engine, writing=False) as conn:
            return tuple(KeptFile(*row) for row in conn.execute(listing.order_by(at).limit(limit)))

    def forget_files(self, of: FileKind, row_ids: Sequence[int], now: float) -> None:
        """Note that the rows' files are gone."""
        table = instances if of == "instances" else objects
        with transaction(self.engine) as conn:
            conn.execute(update(table).where(table.c.id.in_(row_ids)).values(expired_at=now))

    def prune(self, before: float, limit: int) -> int:
        """Remove the rows of old instances, and all that hangs on them."""
        filed = exists().where(
            objects.c.instance_id == instances.c.id, objects.c.expired_at.is_(None)
        )
        old = (
            select(instances.c.id)
            .where(
                instances.c.expired_at.is_not(None),
                instances.c.received_at < before,
                ~filed,
                ~_has(jobs, instances, "instance_id", *UNFINISHED),
                ~_has(deliveries, instances, "instance_id", *UNFINISHED),
            )
            .order_by(instances.c.received_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        with transaction(self.engine) as conn:
            ids = conn.execute(old).scalars().all()
            # from the leaves to the root
            for table in (commitments, deliveries, escalations, objects, results, jobs):
                conn.execute(delete(table).where(table.c.instance_id.in_(ids)))
            conn.execute(delete(instances).where(instances.c.id.in_(ids)))
        return len(ids)

    def prune_alarms(self, before: float) -> int:
        """Remove alarms and unknown callers not seen since `before`."""
        with transaction(self.engine) as conn:
            return sum(
                conn.execute(delete(table).where(table.c.last_at < before)).rowcount
                for table in (alarms, callers)
            )

    def known_keys(self, keys: Collection[str]) -> set[str]:
        """Say which of the archive's keys still belong to a row."""
        known: set[str] = set()
        with transaction(self.engine, writing=False) as conn:
            for table in (instances, objects):
                kept = table.c.expired_at.is_(None), table.c.file_key.in_(list(keys))
                known.update(conn.execute(select(table.c.file_key).where(*kept)).scalars())
        return known


def _has(work: Table, owner: Table, link: str, *states: State) -> ColumnElement[bool]:
    """Say whether a row of `owner` has work in one of `states`."""
    return exists().where(work.c[link] == owner.c.id, in_state(work, *states))
