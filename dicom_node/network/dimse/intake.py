"""What an association may take in: bounds, and the queue of its messages."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from queue import Full

from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider

from dicom_node.network.dimse.messages import LARGEST_DATA_SET, Assembler, Message
from dicom_node.network.dimse.upper_layer import CHECK_S, SLOWEST_SENDER, DataPDU, WakingQueue

MOST_WAITING = 2
"""Messages of one association that wait to be served; then the sender waits."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is taken in."""

    connections: int
    """Half-open ones and those that end count too."""
    of_one_host: int
    """Of these connections."""
    object_bytes: int = LARGEST_DATA_SET
    """A data set that is larger is refused."""
    all_bytes: int = 1 << 40
    """What all associations together hold of data sets; beyond it a new one is refused."""

    def has_place(self, hosts: Sequence[str], host: str) -> bool:
        """Say whether one more connection is taken, with those of `hosts` open."""
        return len(hosts) < self.connections and hosts.count(host) < self.of_one_host


class EventDrivenDIMSE(DIMSEServiceProvider):
    """Assembles messages and queues them for the association's thread."""

    def __init__(self, assoc: Association, bell: threading.Event) -> None:
        super().__init__(assoc)
        self.assembler = Assembler()
        self.requests: WakingQueue[Message] = WakingQueue(bell, MOST_WAITING)
        self._begun_at = 0.0

    def receive_primitive(self, primitive: DataPDU) -> None:  # type: ignore[override] # any of its kinds in pynetdicom; here PDUs alone
        """Take the fragments of a PDU; raises BrokenMessage."""
        for context_id, fragment in primitive.values:
            if not self.assembler.is_partial:
                self._begun_at = time.monotonic()
            message = self.assembler.add(context_id, fragment)
            if message is not None:
                self._queue(message)

    def held(self) -> int:
        """Say how many bytes of data sets have come and are not yet being stored."""
        size = 0 if self.assembler.is_dropping else self.assembler.size
        return size + sum(len(message.content) for message in list(self.requests.queue))

    def is_overdue(self) -> bool:
        """Whether a message takes longer than a slow line explains."""
        if not self.assembler.is_partial:
            return False
        allowed_s = (self.dimse_timeout or 0) + self.assembler.size / SLOWEST_SENDER
        return time.monotonic() - self._begun_at > allowed_s

    def _queue(self, message: Message) -> None:
        """Wait for a place; meanwhile nothing is read, so the sender waits too."""
        while not self.assoc._kill:
            try:
                self.requests.put(message, timeout=CHECK_S)
            except Full:
                continue
            return
