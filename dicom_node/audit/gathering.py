"""Holds back what would be many audit messages: transfers, repeated alerts."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from dicom_node.audit.events import (
    Action,
    Auditor,
    Endpoint,
    Outcome,
    TransferredInstances,
    begin_transferring,
    instances_transferred,
    sorted_by_class,
)
from dicom_node.domain.work import Arrival, Recorded

QUIET_S = 2.0
"""After a study's last instance, until its message is written."""
LONGEST_S = 60.0
MOST = 1000
"""Instances of one message."""
AGAIN_S = 60.0
"""An alert is repeated after this at the earliest."""
MOST_ALERTS = 200
"""Of different kinds within that time: who calls under ever new names fills no disk."""

Key = tuple[str, str, str, str, Recorded]
VERDICTS: dict[Recorded, tuple[Action, Outcome]] = {
    Recorded.NEW: ("C", "0"),
    Recorded.SAME: ("R", "0"),
    Recorded.CONFLICT: ("C", "4"),
}


@dataclass
class _Load:
    """One study from one sender, under way."""

    since: float
    last: float
    refs: list[tuple[str, str]] = field(default_factory=list)


class Transfers:
    """Makes one message of a study's instances from one sender.

    That the study begins to come is written at once: a process that is killed
    leaves a beginning without an end.
    """

    def __init__(
        self, here: Endpoint, note: Auditor, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._here, self._note, self._clock = here, note, clock
        self._lock = threading.Lock()
        self._loads: dict[Key, _Load] = {}

    def received(self, arrival: Arrival, recorded: Recorded) -> None:
        """Take in one instance that was received."""
        instance, now = arrival.instance, self._clock()
        key = (arrival.calling_ae, arrival.host, instance.study_uid, instance.patient_id, recorded)
        with self._lock:
            fresh = key not in self._loads
            load = self._loads.setdefault(key, _Load(now, now))
            load.last = now
            load.refs.append((instance.ref.sop_class_uid, instance.ref.sop_instance_uid))
        if fresh:
            source = Endpoint(arrival.calling_ae, arrival.host)
            transfer = TransferredInstances(instance.study_uid, instance.patient_id)
            self._note(begin_transferring(source, self._here, transfer, time.time()))

    def gather(self, everything: bool) -> None:
        """Write what has come to rest, or all of it."""
        now = self._clock()
        with self._lock:
            done = {
                key: load
                for key, load in self._loads.items()
                if everything
                or now - load.last >= QUIET_S
                or now - load.since >= LONGEST_S
                or len(load.refs) >= MOST
            }
            for key in done:
                del self._loads[key]
        for (ae, host, study_uid, patient_id, recorded), load in done.items():
            transfer = TransferredInstances(study_uid, patient_id, sorted_by_class(load.refs))
            ends = Endpoint(ae, host), self._here
            self._note(instances_transferred(*ends, transfer, time.time(), *VERDICTS[recorded]))


class AlertThrottle:
    """Says of an alert whether it is to be written, or was just now."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._said: dict[tuple[str, ...], float] = {}

    def __call__(self, *alert: str) -> bool:
        """Note the alert; False for one that was written within AGAIN_S, or one too many."""
        now = self._clock()
        with self._lock:
            self._said = {alert: at for alert, at in self._said.items() if now - at < AGAIN_S}
            if alert in self._said or len(self._said) >= MOST_ALERTS:
                return False
            self._said[alert] = now
            return True
