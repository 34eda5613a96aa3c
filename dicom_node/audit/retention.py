"""Retention that tells the audit trail what it erased."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from dicom_node.audit.node import Audit
from dicom_node.audit.rows import Erasure, erased_instances, erased_objects
from dicom_node.domain.errors import TryAgain
from dicom_node.storage.status.retention import SqlRetention

log = structlog.get_logger()


@dataclass(frozen=True)
class AuditedRetention(SqlRetention):
    """Tells of each deletion once it is done."""

    audit: Audit

    def forget_instances(self, row_ids: Sequence[int], now: float) -> None:
        """Note that the instances' files are gone, and tell whose."""
        super().forget_instances(row_ids, now)
        self._tell(lambda: erased_instances(self.engine, row_ids))

    def forget_objects(self, row_ids: Sequence[int], now: float) -> None:
        """Note that the objects' files are gone, and tell whose."""
        super().forget_objects(row_ids, now)
        self._tell(lambda: erased_objects(self.engine, row_ids))

    def prune(self, before: float, limit: int) -> int:
        """Remove the rows of old instances, and tell of how many."""
        removed = super().prune(before, limit)
        if removed:
            self.audit.pruned(removed, before)
        return removed

    def _tell(self, gone: Callable[[], tuple[Erasure, ...]]) -> None:
        if not self.audit.on:
            return
        try:
            self.audit.erased(gone())
        except TryAgain as error:  # the files are gone all the same
            log.error("erasure_not_audited", reason=str(error))
