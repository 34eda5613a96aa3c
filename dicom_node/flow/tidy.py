"""Lease rescue, retention, pruning, orphaned files."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice

import structlog

from dicom_node.domain.archive import FileKind, Retention
from dicom_node.domain.pipeline import Archive, Ledger

log = structlog.get_logger()

AT_ONCE = 200
"""Rows of one transaction, so that receiving never waits long."""
MOST_UNKNOWN, LARGEST_SHARE = 20, 0.1
"""More files than both, and the database has forgotten films, not processes died."""
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
    expired = _expire("instances", retention, archive, now, keep_s, keep_dead_s)
    if expired:
        log.info("instances_expired", files=expired)
    return expired


def expire_objects(
    retention: Retention, archive: Archive, now: float, keep_s: float, keep_dead_s: float
) -> int:
    """Delete files of result objects older than `keep_s`, as `expire_instances`."""
    expired = _expire("objects", retention, archive, now, keep_s, keep_dead_s)
    if expired:
        log.info("objects_expired", files=expired)
    return expired


def _expire(
    of: FileKind,
    retention: Retention,
    archive: Archive,
    now: float,
    keep_s: float,
    keep_dead_s: float,
) -> int:
    before, dead_before = now - keep_s, now - max(keep_s, keep_dead_s)
    expired = 0
    while found := retention.old_files(of, before, dead_before, AT_ONCE):
        # the file first: a crash between leaves a row that is simply done again
        for kept in found:
            archive.delete(kept.key)
        retention.forget_files(of, [kept.row_id for kept in found], now)
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


@dataclass(frozen=True, slots=True)
class Sweep:
    """What a look through the archive found: old files, and those that no row knows."""

    files: int
    unknown: int
    set_aside: int

    @property
    def is_stopped(self) -> bool:
        """Whether so much is unknown that rather the database must be the wrong one."""
        return self.unknown > max(MOST_UNKNOWN, self.files * LARGEST_SHARE)


def sweep_orphans(
    retention: Retention, old_keys: Iterable[str], set_aside: Callable[[str], bool]
) -> Sweep:
    """Set archive files aside that no row knows; none of them where they are too many.

    `old_keys` lists files older than ORPHAN_AGE_S; `set_aside` moves one unless the
    same bytes were stored anew meanwhile.
    """
    files, unknown = 0, []
    for keys in _batches(old_keys):
        files += len(keys)
        unknown += sorted(set(keys) - retention.known_keys(keys))
    sweep = Sweep(files, len(unknown), 0)
    if sweep.is_stopped:
        log.error("orphans_left", files=files, unknown=len(unknown))
        return sweep
    moved = sum(map(set_aside, unknown))
    if moved:
        log.warning("orphans_set_aside", files=moved)
    return replace(sweep, set_aside=moved)


def _batches(keys: Iterable[str]) -> Iterator[list[str]]:
    left = iter(keys)
    while batch := list(islice(left, AT_ONCE)):
        yield batch
