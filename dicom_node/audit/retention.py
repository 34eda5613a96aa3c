"""Retention that tells the audit trail what it erased."""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from dicom_node.audit.node import Audit
from dicom_node.audit.rows import erased_instances, erased_objects
from dicom_node.domain.archive import FileKind
from dicom_node.domain.errors import TryAgain
from dicom_node.storage.status.retention import SqlRetention

log = structlog.get_logger()


@dataclass(frozen=True)
class AuditedRetention(SqlRetention):
    """Tells of each deletion once it is done."""

    audit: Audit

    def forget_files(self, of: FileKind, row_ids: Sequence[int], now: float) -> None:
        """Note that the rows' files are gone, and tell whose."""
        super().forget_files(of, row_ids, now)
        if not self.audit.on:
            return
        erased = erased_instances if of == "instances" else erased_objects
        try:
            self.audit.erased(erased(self.engine, row_ids))
        except TryAgain as error:  # the files are gone all the same
            log.error("erasure_not_audited", reason=str(error))

    def prune(self, before: float, limit: int) -> int:
        """Remove the rows of old instances, and tell of how many."""
        removed = super().prune(before, limit)
        if removed:
            self.audit.pruned(removed, before)
        return removed
