"""One transaction for all arrivals that wait for one."""

import threading
from dataclasses import dataclass

from dicom_node.domain.work import Admission, Arrival, Recorded
from dicom_node.storage.queue.ledger import SqlLedger

MOST = 64
"""Arrivals in one transaction."""


@dataclass
class _Entry:
    arrival: Arrival
    admission: Admission
    outcome: Recorded | BaseException | None = None


class GroupCommit:
    """Records arrivals of many threads; each returns when its own is committed.

    Whoever comes first records what has gathered meanwhile, so that a flush to the disk
    serves all that wait for it, and a lone sender waits for nobody.
    """

    def __init__(self, ledger: SqlLedger) -> None:
        self._ledger = ledger
        self._gathering, self._turn = threading.Lock(), threading.Lock()
        self._waiting: list[_Entry] = []

    def record(self, arrival: Arrival, admission: Admission) -> Recorded:
        """Write the instance and its jobs, as `Ledger.record`; raises as that."""
        entry = _Entry(arrival, admission)
        with self._gathering:
            self._waiting.append(entry)
        with self._turn:
            if entry.outcome is None:
                self._commit(entry)
        if isinstance(entry.outcome, Recorded):
            return entry.outcome
        assert entry.outcome is not None  # noqa: S101 - types: `_commit` set it
        raise entry.outcome

    def _commit(self, own: _Entry) -> None:
        """Record what waits, `own` among it; what cannot be together is recorded alone."""
        with self._gathering:
            others = [entry for entry in self._waiting if entry is not own]
            batch = [own, *others[: MOST - 1]]
            self._waiting = others[MOST - 1 :]
        try:
            pairs = [(entry.arrival, entry.admission) for entry in batch]
            for entry, recorded in zip(batch, self._ledger.record_all(pairs), strict=True):
                entry.outcome = recorded
        except BaseException as error:  # noqa: BLE001 - each thread raises its own
            if len(batch) == 1:
                own.outcome = error
                return
            for entry in batch:
                self._record_alone(entry)

    def _record_alone(self, entry: _Entry) -> None:
        try:
            entry.outcome = self._ledger.record(entry.arrival, entry.admission)
        except BaseException as error:  # noqa: BLE001 - as above
            entry.outcome = error
