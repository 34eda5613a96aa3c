"""One accepted association on a thread of its own.

The thread sleeps in the kernel until bytes come. What comes goes from one buffer
straight to whoever takes the data set; a request is served before more is read, so a
sender that waits for no answer waits all the same.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from dicom_node.domain.errors import NodeError
from dicom_node.domain.reception import OUT_OF_RESOURCES, SUCCESS, Caller
from dicom_node.formats.dicom.attributes import clean
from dicom_node.network.dimse.messages import (
    C_CANCEL_RQ,
    C_ECHO_RQ,
    COMMAND_FIELD,
    LARGEST_DATA_SET,
    MESSAGE_ID,
    RESPONSE,
    BrokenMessage,
    Message,
    MessageReader,
    command_fragments,
    encode_response,
)
from dicom_node.network.dimse.options import Timeouts, no_delay, quick_ack
from dicom_node.network.dimse.upper_layer.connection import (
    SERVICE_PROVIDER,
    SERVICE_USER,
    Connection,
    Data,
    Ended,
    ReleaseRequested,
    Requested,
)
from dicom_node.network.dimse.upper_layer.negotiation import (
    SMALLEST_LIMIT,
    Agreed,
    Rejection,
    Supported,
    limit_of,
    negotiate,
)
from dicom_node.network.dimse.upper_layer.pdu import AssociateRequest, UserInformation
from dicom_node.network.dimse.upper_layer.state import State
from dicom_node.network.tls.sockets import Secure, fingerprint_of, in_words
from dicom_node.process.logs import log_failure
from dicom_node.process.throttle import ThrottledLog

FIRST_BUFFER, BUFFER = 8 << 10, 256 << 10
"""Bytes that are read at once before and after an association stands."""
SLOWEST_SENDER = 10_000
"""Bytes per second below which a sender counts as stuck."""
MEGABYTE = 1 << 20
LINGER_S = 1.0
"""For the peer to close after the end, as PS3.8 has it: some miss an answer that comes
together with the end of the connection."""

UNRECOGNISED_OPERATION = 0x0211
"""PS3.7 C.5.24."""


class Intake(Protocol):
    """Takes the data set of one request and answers it."""

    def write(self, pieces: Sequence[memoryview]) -> None:
        """Take the next bytes; the views are good until it returns. Never raises."""

    def answer(self) -> tuple[int, str]:
        """Give status and comment, now that everything has come; never raises."""

    def drop(self) -> None:
        """Forget what came: the association ended, or was answered."""


@dataclass(frozen=True, slots=True)
class Unwanted:
    """Lets a data set pass by and answers with a fixed status."""

    status: int
    comment: str = ""

    def write(self, pieces: Sequence[memoryview]) -> None:
        """Look at nothing."""

    def answer(self) -> tuple[int, str]:
        """Give the status."""
        return self.status, self.comment

    def drop(self) -> None:
        """Have nothing to forget."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How associations are served."""

    admit: Callable[[AssociateRequest, "AcceptedAssociation"], Rejection | Mapping[str, Supported]]
    """Judges a request; gives what is supported for a caller that is taken in."""
    begin: Callable[[Message, Agreed, Caller], Intake | None]
    """Begins to serve a request; None for an operation that is not known. Never raises."""
    ours: UserInformation
    timeouts: Timeouts
    log: ThrottledLog
    largest: int = LARGEST_DATA_SET
    """Bytes of a data set; a larger one is refused."""
    is_crowded: Callable[[], bool] = lambda: False
    """Says whether all associations together hold too much."""
    secure: Secure | None = None


class Overdue(Exception):
    """The peer let a time limit pass."""


class Stopping(Exception):
    """Our own side ends the association."""


class AcceptedAssociation(threading.Thread):
    """Serves one connection from its first byte to its end."""

    def __init__(
        self,
        connection: socket.socket,
        host: str,
        terms: Terms,
        over: Callable[["AcceptedAssociation"], None],
    ) -> None:
        """`over` is told when the connection is closed."""
        super().__init__(name=f"association-{host}", daemon=True)
        self.host = host
        self.caller = Caller("", "", host)
        """Who asked for the association, as soon as that is known."""
        self.admitted = False
        """Set by who takes the association in."""
        self.held = 0
        """Bytes of a data set that came, until it is answered."""
        self._terms, self._tell_over = terms, over
        self._socket = connection
        self._connection = Connection()
        self._reader = MessageReader()
        self._agreed: dict[int, Agreed] = {}
        self._limit = SMALLEST_LIMIT
        self._intake: Intake | None = None
        self._pieces: list[memoryview] = []
        self._buffer = memoryview(bytearray(FIRST_BUFFER))
        self._stands = self._serving = self._told_to_end = False
        self._heard_at = time.monotonic()
        self._deadline = self._heard_at + terms.timeouts.acse_s
        self._silence_s = float("inf")

    @property
    def is_established(self) -> bool:
        """Whether it was accepted and is not over."""
        return self._connection.state in (State.ESTABLISHED, State.AWAITING_RELEASE_RESPONSE)

    @property
    def is_admitted(self) -> bool:
        """Whether it counts against the limit of associations."""
        over = self._connection.state in (State.AWAITING_CLOSE, State.IDLE)
        return self.admitted and not over

    def quiet_s(self) -> float:
        """Say for how long no message has been on its way or being served."""
        if self._serving or self._reader.is_partial:
            return 0.0
        return time.monotonic() - self._heard_at

    def end(self) -> None:
        """Have the association aborted, as soon as what is being served is answered."""
        self._told_to_end = True
        with contextlib.suppress(OSError):  # ended already
            self._socket.shutdown(socket.SHUT_RD)

    def run(self) -> None:
        """Serve until the association is over; whatever happens, close the connection."""
        try:
            if self._secured():
                self._converse()
        except Exception as error:  # noqa: BLE001 - the thread's edge
            log_failure("association_failed", type(error), error.__traceback__)
            self._send_last(self._connection.abort(SERVICE_PROVIDER))
        finally:
            if self._intake is not None:
                self._intake.drop()
            self._linger()
            self._socket.close()
            self._tell_over(self)

    def _secured(self) -> bool:
        """Shake hands, where the port speaks TLS."""
        no_delay(self._socket)
        if self._terms.secure is None:
            return True
        try:
            self._socket.settimeout(self._terms.timeouts.acse_s)
            self._socket = self._terms.secure(self._socket)
        except (OSError, NodeError) as error:
            if not self._told_to_end:
                reason = in_words(error)
                self._terms.log.warning("tls_handshake_failed", host=self.host, reason=reason)
            return False
        return True

    def _converse(self) -> None:
        try:
            while self._connection.state not in (State.AWAITING_CLOSE, State.IDLE):
                received = self._receive()
                if not received:
                    self._tell_end(self._connection.close())
                    return
                for event in self._connection.receive(received):
                    self._respond_to(event)
                self._pass_on()
        except (Overdue, BrokenMessage) as error:
            source = SERVICE_USER if self.is_established else SERVICE_PROVIDER
            self._tell_end(Ended(str(error), self._connection.abort(source)))
        except Stopping:
            self._send_last(self._connection.abort())
        except OSError as error:
            self._tell_end(Ended(f"the connection failed: {in_words(error)}"))

    def _receive(self) -> memoryview:
        """Wait for bytes until the deadline; nothing comes at the end of the connection."""
        while True:
            if self._told_to_end:
                raise Stopping
            now = time.monotonic()
            left_s = min(self._deadline - now, self._heard_at + self._silence_s - now)
            if left_s <= 0:
                raise Overdue(self._reason_for_being_late(now))
            self._socket.settimeout(left_s)
            try:
                count = self._socket.recv_into(self._buffer)
            except TimeoutError:
                continue
            if not count and self._told_to_end:
                raise Stopping
            self._heard_at = time.monotonic()
            if count < len(self._buffer):  # the sender may wait for our acknowledgement
                quick_ack(self._socket)
            return self._buffer[:count]

    def _reason_for_being_late(self, now: float) -> str:
        limits = self._terms.timeouts
        if not self.is_established:
            return f"no association request within {limits.acse_s:g} s"
        if now > self._deadline and self._reader.is_partial:
            return "a message takes longer than a slow line explains"
        return f"nothing was sent for {limits.network_s:g} s"

    def _respond_to(self, event: Requested | Data | ReleaseRequested | Ended) -> None:
        if isinstance(event, Data):
            self._take(event)
        elif isinstance(event, Requested):
            self._answer_request(event.request)
        elif isinstance(event, ReleaseRequested):
            self._send_last(self._connection.release())
        else:
            self._tell_end(event)

    def _answer_request(self, request: AssociateRequest) -> None:
        self.caller = Caller(
            calling_ae=clean(request.calling_ae),
            called_ae=clean(request.called_ae),
            host=self.host,
            tls=self._terms.secure is not None,
            fingerprint=fingerprint_of(self._socket),
        )
        judged = self._terms.admit(request, self)
        if isinstance(judged, Rejection):
            answer = self._connection.reject(judged.result, judged.source, judged.reason)
            self._send_last(answer)
            return
        accept, self._agreed = negotiate(request, judged, self._terms.ours)
        self._limit = limit_of(request.user)
        self._send(self._connection.accept(accept))
        self._stands = True
        self._buffer = memoryview(bytearray(BUFFER))
        self._silence_s = self._terms.timeouts.network_s
        self._rest()

    def _take(self, data: Data) -> None:
        """Take a piece of a message; serve the message that it completes."""
        if not self._reader.is_partial:
            self._deadline = time.monotonic() + self._terms.timeouts.dimse_s
        before = self._reader.size
        complete = self._reader.add(data)
        if data.is_command:
            if data.ends:
                self._intake = self._begin(complete or self._reader.message)
            if complete is None:
                return
        else:
            size = before + len(data.content)
            self._deadline += len(data.content) / SLOWEST_SENDER
            self._count(size, size // MEGABYTE > before // MEGABYTE)
            self._pieces.append(data.content)
        if complete is not None:
            self._pass_on()
            self._serve(complete)

    def _begin(self, message: Message | None) -> Intake:
        """Say who takes what comes; raises BrokenMessage where no answer could go out."""
        assert message is not None  # noqa: S101 - types: it has just been completed
        agreed, field = self._agreed.get(message.context_id), message.number(COMMAND_FIELD)
        if field == C_CANCEL_RQ:
            return Unwanted(SUCCESS)
        if agreed is None:
            raise BrokenMessage("a message is of a context that was not accepted")
        if field is None or message.number(MESSAGE_ID) is None:
            # no response could say what it answers (PS3.7 9.3, PS3.8 9.3.5.1)
            raise BrokenMessage("a command has no field or no message ID")
        if field == C_ECHO_RQ:
            return Unwanted(SUCCESS)
        known = self._terms.begin(message, agreed, self.caller)
        return Unwanted(UNRECOGNISED_OPERATION) if known is None else known

    def _count(self, size: int, may_be_crowded: bool) -> None:
        """Stop keeping what is too much: of one data set, or of all together."""
        if isinstance(self._intake, Unwanted):
            return
        self.held = size
        if size > self._terms.largest:
            self._refuse("the object is larger than is taken")
        elif may_be_crowded and self._terms.is_crowded():
            self._refuse("too much is on its way, repeat later")

    def _refuse(self, comment: str) -> None:
        if self._intake is not None:
            self._intake.drop()
        self._intake = Unwanted(OUT_OF_RESOURCES, comment)
        self.held = 0

    def _pass_on(self) -> None:
        """Give away the pieces before the buffer is filled anew."""
        if self._pieces and self._intake is not None:
            self._intake.write(self._pieces)
        self._pieces.clear()

    def _serve(self, message: Message) -> None:
        assert self._intake is not None  # noqa: S101 - types: `_begin` set it
        self._serving = True
        try:
            status, comment = self._intake.answer()
            self._intake.drop()
            field = message.number(COMMAND_FIELD) or 0
            if not field & RESPONSE and field != C_CANCEL_RQ:
                fragments = command_fragments(
                    encode_response(message, status, comment), self._limit
                )
                self._send(self._connection.send_command(message.context_id, fragments))
        finally:
            self._serving = False
        self._intake, self.held = None, 0
        self._rest()

    def _rest(self) -> None:
        """Begin to wait for the next message."""
        self._heard_at = time.monotonic()
        self._deadline = self._heard_at + self._terms.timeouts.network_s

    def _tell_end(self, ended: Ended) -> None:
        """Answer an end that is not in order, and leave a line about it."""
        log, has_answers = self._terms.log, not (ended.answer or self._reader.is_partial)
        if not (self._stands or self._told_to_end):
            log.warning("association_failed", host=self.host, reason=ended.reason)
        elif not (has_answers or self._told_to_end):
            calling_ae = self.caller.calling_ae
            log.warning(
                "association_aborted", host=self.host, calling_ae=calling_ae, reason=ended.reason
            )
        self._send_last(ended.answer)

    def _send(self, encoded: bytes) -> None:
        self._socket.settimeout(self._terms.timeouts.network_s)
        self._socket.sendall(encoded)

    def _send_last(self, encoded: bytes) -> None:
        """Send the last that is said; the peer may be gone already."""
        if encoded:
            with contextlib.suppress(OSError):
                self._send(encoded)

    def _linger(self) -> None:
        """Let the peer read our last answer and close (Sta13); what else comes is passed over."""
        deadline = time.monotonic() + LINGER_S
        with contextlib.suppress(OSError):
            while (left_s := deadline - time.monotonic()) > 0:
                self._socket.settimeout(left_s)
                if not self._socket.recv_into(self._buffer):
                    return
