"""Retention that tells the audit trail what it erased."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import structlog

from dicom_node.audit.node import Audit
from dicom_node.audit.rows import Erasure, erased_instances, erased_objects
from dicom_node.domain.archive import KeptFile
from dicom_node.domain.errors import TryAgain
from dicom_node.storage.status.retention import SqlRetention

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class AuditedRetention:
    """`domain.retention.Retention` that tells of each deletion once it is done."""

    inner: SqlRetention
    audit: Audit

    def old_instances(self, before: float, dead_before: float, limit: int) -> tuple[KeptFile, ...]:
        """List what `inner` lists."""
        return self.inner.old_instances(before, dead_before, limit)

    def forget_instances(self, row_ids: Sequence[int], now: float) -> None:
        """Note that the instances' files are gone, and tell whose."""
        self.inner.forget_instances(row_ids, now)
        self._tell(lambda: erased_instances(self.inner.engine, row_ids))

    def old_objects(self, before: float, dead_before: float, limit: int) -> tuple[KeptFile, ...]:
        """List what `inner` lists."""
        return self.inner.old_objects(before, dead_before, limit)

    def forget_objects(self, row_ids: Sequence[int], now: float) -> None:
        """Note that the objects' files are gone, and tell whose."""
        self.inner.forget_objects(row_ids, now)
        self._tell(lambda: erased_objects(self.inner.engine, row_ids))

    def prune(self, before: float, limit: int) -> int:
        """Remove the rows of old instances, and tell of how many."""
        removed = self.inner.prune(before, limit)
        if removed:
            self.audit.pruned(removed, before)
        return removed

    def prune_alarms(self, before: float) -> int:
        """Remove what `inner` removes."""
        return self.inner.prune_alarms(before)

    def known_keys(self, keys: Collection[str]) -> set[str]:
        """Say what `inner` says."""
        return self.inner.known_keys(keys)

    def _tell(self, gone: Callable[[], tuple[Erasure, ...]]) -> None:
        if not self.audit.on:
            return
        try:
            self.audit.erased(gone())
        except TryAgain as error:  # the files are gone all the same
            log.error("erasure_not_audited", reason=str(error))
