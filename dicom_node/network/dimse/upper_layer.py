"""pynetdicom's upper layer on a thread that waits instead of polling.

pynetdicom serves an association with two threads that look for work every
millisecond, and reads in slices of 4 KiB. Here the same state machine and PDU
classes run on a thread that sleeps until a PDU comes in or is to go out. Checked
against pynetdicom 3.0.4, of which it overrides a few internals:
`tests/unit/network/dimse/test_scp.py` shows whether they still fit.
"""

import select
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from queue import Queue
from typing import Any, TypeVar

from pynetdicom.association import Association
from pynetdicom.dul import DULServiceProvider
from pynetdicom.pdu import A_ABORT_RQ
from pynetdicom.pdu_primitives import A_ABORT, A_ASSOCIATE, A_P_ABORT, A_RELEASE, P_DATA
from pynetdicom.transport import AssociationSocket

from dicom_node.network.dimse.options import no_delay, quick_ack
from dicom_node.network.tls.sockets import SecureSocket, read_ahead

LARGEST_PDU = 16 << 20
"""Bytes; senders that ignore our limit are served so far and no further."""
STEP = 1 << 20
"""Bytes for which memory is taken at once: what a PDU says of its length may be a lie."""
SLOWEST_SENDER = 10_000
"""Bytes per second below which a sender counts as stuck."""
NO_LIMIT_S = 3600.0
"""For a PDU, where the association has no time-out."""
CHECK_S = 0.5
"""How often sleeping threads look at their timers."""

P_DATA_TF = 0x04
"""PDU type (PS3.8 9.3.5)."""

T = TypeVar("T")


class EventDrivenSocket(AssociationSocket):
    """Reads a PDU in few calls, acknowledges at once, never waits for ever."""

    def __init__(self, assoc: Association, client_socket: socket.socket) -> None:
        super().__init__(assoc, client_socket=client_socket)
        client_socket.settimeout(assoc.network_timeout)
        no_delay(client_socket)
        self._poll = select.poll()
        self._poll.register(client_socket, select.POLLIN)
        self._early = b""
        """What TLS has decrypted and nobody has read yet."""

    @property
    def ready(self) -> bool:
        """Whether something can be read, be it the end of the connection."""
        if self.socket is None or self.holds:
            return self.socket is not None
        if not self._poll.poll(0):
            return False
        if not isinstance(self.socket, SecureSocket):
            return True
        early = read_ahead(self.socket)
        self._early = early or b""
        return early is not None

    @property
    def holds(self) -> bool:
        """Whether bytes were taken from the network that nobody has read yet."""
        within = isinstance(self.socket, SecureSocket) and self.socket.pending() > 0
        return bool(self._early) or within

    def recv(self, nr_bytes: int) -> bytearray:
        """Read so many bytes, fewer only at the end of the connection."""
        if self.socket is None or nr_bytes > LARGEST_PDU:
            raise OSError(f"no PDU of {nr_bytes} bytes is read")
        received, self._early = bytearray(self._early[:nr_bytes]), self._early[nr_bytes:]
        deadline = self._patience()
        while len(received) < nr_bytes:
            step = bytearray(min(STEP, nr_bytes - len(received)))
            count = self._fill(self.socket, step, deadline)
            deadline += count / SLOWEST_SENDER
            received += step if count == len(step) else step[:count]
            if count < len(step):
                return received
        quick_ack(self.socket)
        return received

    def _shutdown_socket(self) -> None:
        """Close; pynetdicom leaves the socket open when the peer was quicker."""
        super()._shutdown_socket()
        if self.socket is not None:
            self.socket.close()

    def _patience(self) -> float:
        """Give the time until which a PDU must be here, beside the time that its bytes take."""
        assoc = self.assoc
        limit_s = assoc.network_timeout if assoc.is_established else assoc.acse_timeout
        return time.monotonic() + (NO_LIMIT_S if limit_s is None else limit_s)

    def _fill(self, source: socket.socket, step: bytearray, deadline: float) -> int:
        """Read until the step is full or the connection ends; give how much was read.

        One byte now and then is no life: only what was read earns more time.
        """
        view = memoryview(step)
        try:
            while view:
                earned_s = (len(step) - len(view)) / SLOWEST_SENDER
                source.settimeout(max(0.001, deadline + earned_s - time.monotonic()))
                count = source.recv_into(view)
                if count == 0:
                    break
                view = view[count:]
        finally:
            source.settimeout(self.assoc.network_timeout)  # sending has its own
        return len(step) - len(view)


@dataclass(frozen=True, slots=True)
class DataPDU:
    """A P-DATA-TF PDU (PS3.8 9.3.5), its values not copied."""

    pdu: memoryview

    @property
    def values(self) -> Iterator[tuple[int, memoryview]]:
        """Presentation context ID and message fragment, one by one: there may be millions."""
        offset = 6
        while offset < len(self.pdu):
            length, context_id = struct.unpack_from(">LB", self.pdu, offset)
            end = offset + 4 + length
            yield context_id, self.pdu[offset + 5 : end]
            offset = end

    @classmethod
    def decode(cls, pdu: bytearray) -> "DataPDU":
        """Decode a complete PDU; raises ValueError."""
        offset = 6
        while offset < len(pdu):
            if offset + 6 > len(pdu):
                raise ValueError("presentation data value is cut")
            (length,) = struct.unpack_from(">L", pdu, offset)
            offset += 4 + length
            if length < 2 or offset > len(pdu):
                raise ValueError("presentation data value has a wrong length")
        return cls(memoryview(pdu))

    def to_primitive(self) -> "DataPDU":
        """Stand in for its own indication primitive."""
        return self


class WakingQueue(Queue[T]):
    """A queue that rings a bell for whatever is put into it."""

    def __init__(self, bell: threading.Event, maxsize: int = 0) -> None:
        super().__init__(maxsize)
        self._bell = bell

    def put(self, item: T, block: bool = True, timeout: float | None = None) -> None:
        """Put and ring."""
        super().put(item, block, timeout)
        self._bell.set()


class EventDrivenDUL(DULServiceProvider):
    """The upper layer's thread: sleeps until a PDU comes in or is to go out."""

    def __init__(self, assoc: Association, bell: threading.Event) -> None:
        super().__init__(assoc)
        self.daemon = True
        self.heard_at = time.monotonic()
        self._run_loop_delay = 0  # it waits in _is_transport_event instead
        self.to_user_queue: WakingQueue[Any] = WakingQueue(bell)
        self._alarm, self._asleep = socket.socketpair()
        self._alarm.setblocking(False)
        self._waiting = select.poll()

    def start(self) -> None:
        """Start the thread; the association has its socket now."""
        assert self.socket is not None and self.socket.socket is not None  # noqa: S101 - types
        self._waiting.register(self.socket.socket, select.POLLIN)
        self._waiting.register(self._asleep, select.POLLIN)
        super().start()

    def wake(self) -> None:
        """Make the thread look at what there is to do."""
        try:
            self._alarm.send(b"\0")
        except OSError:
            return  # full: it is awake; closed: it has ended

    def send_pdu(self, primitive: A_ASSOCIATE | A_RELEASE | A_ABORT | A_P_ABORT | P_DATA) -> None:
        """Queue what is to be sent and wake the thread."""
        super().send_pdu(primitive)
        self.wake()

    def stop_dul(self) -> bool:
        """End the thread if the connection is over; say whether it was."""
        if isinstance(self.peek_next_pdu(), A_ASSOCIATE):
            # the request was complete when nobody waited for it any longer: in Sta3 no
            # timer runs (PS3.8 9.2.3), so nothing but an abort ends the connection
            self.receive_pdu()
            abort = A_ABORT()
            abort.abort_source = 0x00
            self.send_pdu(abort)
        if self.state_machine.current_state != "Sta1":
            return False
        self._kill_thread = True
        self.wake()
        self.join()
        return True

    def _decode_pdu(self, bytestream: bytearray) -> tuple[Any, str]:
        if bytestream[0] != P_DATA_TF:
            return super()._decode_pdu(bytestream)
        return DataPDU.decode(bytestream), "Evt10"

    def _is_transport_event(self) -> bool:
        # in Sta13 nothing is awaited but the end of the connection (PS3.8 9.2.1)
        held = isinstance(self.socket, EventDrivenSocket) and self.socket.holds
        ended = self.state_machine.current_state == "Sta13"
        if self.event_queue.empty() and not ended and not held:
            for descriptor, _ in self._waiting.poll(1000 * CHECK_S):
                if descriptor == self._asleep.fileno():
                    self._asleep.recv(4096)
        heard = super()._is_transport_event()
        if heard:
            self.heard_at = time.monotonic()
        return heard

    def run_reactor(self) -> None:
        """Run until the connection is over; whatever breaks it ends in an abort."""
        try:
            super().run_reactor()
        except Exception:  # noqa: BLE001 - the state machine raises on PDUs that break PS3.8
            self._abort_connection()
        finally:
            self._kill_thread = True
            self._alarm.close()
            self._asleep.close()
            # ends the wait for an association request that never came; rings the bell
            self.to_user_queue.put(None)

    def _abort_connection(self) -> None:
        abort = A_ABORT_RQ()
        abort.source = 0x02  # service provider (PS3.8 9.3.8)
        abort.reason_diagnostic = 0x00
        if self.socket is not None:
            self.socket.send(abort.encode())
            self.socket.close()
        self.assoc.is_aborted = True
        self.assoc.is_established = False
        self.state_machine.current_state = "Sta1"
