"""Keeping house: rescue, retention, pruning, orphans."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import structlog

from dicom_node.domain.archive import KeptFile, Retention
from dicom_node.domain.pipeline import Archive, Ledger

log = structlog.get_logger()

AT_ONCE = 200
"""Rows of one transaction, so that receiving never waits long."""
ORPHAN_AGE_S = 86_400.0
"""Younger files may belong to an arrival that is just being recorded."""


def rescue_work(ledger: Ledger, now: float) -> int:
    """Free the work of dead workers; say how many jobs and deliveries."""
    rescued = ledger.rescue(now)
    if rescued:
        log.warning("work_rescued", rows=rescued)
    return rescued


def expire_instances(
    retention: Retention, archive: Archive, now: float, keep_s: float, keep_dead_s: float
) -> int:
    """Delete received files older than `keep_s`; say how many.

    Never those with unfinished work; those with a dead letter after `keep_dead_s`,
    so that a person can still retry it.
    """
    before, dead_before = now - keep_s, now - max(keep_s, keep_dead_s)
    expired = _expire(
        lambda: retention.old_instances(before, dead_before, AT_ONCE),
        lambda row_ids: retention.forget_instances(row_ids, now),
        archive,
    )
    if expired:
        log.info("instances_expired", files=expired)
    return expired


def expire_objects(
    retention: Retention, archive: Archive, now: float, keep_s: float, keep_dead_s: float
) -> int:
    """Delete files of result objects older than `keep_s`, as `expire_instances`."""
    before, dead_before = now - keep_s, now - max(keep_s, keep_dead_s)
    expired = _expire(
        lambda: retention.old_objects(before, dead_before, AT_ONCE),
        lambda row_ids: retention.forget_objects(row_ids, now),
        archive,
    )
    if expired:
        log.info("objects_expired", files=expired)
    return expired


def _expire(
    find: Callable[[], tuple[KeptFile, ...]],
    forget: Callable[[list[int]], None],
    archive: Archive,
) -> int:
    expired = 0
    while found := find():
        # the file first: a crash between leaves a row that is simply done again
        for kept in found:
            archive.delete(kept.key)
        forget([kept.row_id for kept in found])
        expired += len(found)
    return expired


def prune_rows(retention: Retention, now: float, keep_s: float) -> int:
    """Remove the rows of instances older than `keep_s`; say how many."""
    before = now - keep_s
    pruned = 0
    while removed := retention.prune(before, AT_ONCE):
        pruned += removed
    alarms = retention.prune_alarms(before)
    if pruned or alarms:
        log.info("rows_pruned", instances=pruned, alarms_and_callers=alarms)
    return pruned


def sweep_orphans(
    retention: Retention, old_keys: Iterable[str], delete_old: Callable[[str], bool]
) -> int:
    """Remove archive files that no row knows; say how many.

    `old_keys` lists files older than ORPHAN_AGE_S; `delete_old` removes one unless
    the same bytes were stored anew meanwhile.
    """
    removed = 0
    for keys in _batches(old_keys):
        known = retention.known_keys(keys)
        removed += sum(delete_old(key) for key in keys if key not in known)
    if removed:
        log.warning("orphans_removed", files=removed)
    return removed


def _batches(keys: Iterable[str]) -> Iterator[list[str]]:
    left = iter(keys)
    while batch := list(islice(left, AT_ONCE)):
        yield batch
