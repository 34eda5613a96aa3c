"""Accepted associations and the socket that they come from."""

import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from queue import Empty
from typing import Any

import structlog
from pynetdicom._globals import MODE_ACCEPTOR
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.events import EventHandlerType
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import AddressInformation, AssociationServer, RequestHandler

from dicom_node.domain.errors import NodeError
from dicom_node.domain.reception import OUT_OF_RESOURCES, SUCCESS
from dicom_node.network.dimse.intake import Bounds, EventDrivenDIMSE
from dicom_node.network.dimse.messages import (
    C_CANCEL_RQ,
    C_ECHO_RQ,
    COMMAND_FIELD,
    MESSAGE_ID,
    RESPONSE,
    Message,
    command_fragments,
    encode_response,
)
from dicom_node.network.dimse.upper_layer import CHECK_S, EventDrivenDUL, EventDrivenSocket
from dicom_node.network.hosts import canonical
from dicom_node.network.tls.sockets import Secure, fingerprint_of, in_words
from dicom_node.process.logs import log_failure

log = structlog.get_logger()

BACKLOG = 128
"""Connections that wait to be taken; pynetdicom's own 5 loses some in a rush."""

UNRECOGNISED_OPERATION = 0x0211
"""PS3.7 C.5.24."""

Operation = Callable[[Message, PresentationContext, "EventDrivenAssociation"], tuple[int, str]]
"""Gives status and comment for a request; must not raise."""
Operations = Mapping[int, Operation]
"""What is served beside C-ECHO, by Command Field (PS3.7 E.1)."""


class EventDrivenAssociation(Association):
    """An accepted association whose thread sleeps until a message is complete."""

    def __init__(self, ae: ApplicationEntity, operations: Operations) -> None:
        self.bell = threading.Event()
        self.admitted = False
        """Set by the server when the association is taken in."""
        self.serving = False
        self.fingerprint = ""
        """Of the certificate that the caller showed (TLS)."""
        self._operations = operations
        super().__init__(ae, MODE_ACCEPTOR)
        self.dul: EventDrivenDUL = EventDrivenDUL(self, self.bell)
        self.dimse: EventDrivenDIMSE = EventDrivenDIMSE(self, self.bell)
        # these are kept by DUL and DIMSE, which are others now
        self.acse_timeout = ae.acse_timeout
        self.dimse_timeout = ae.dimse_timeout
        self.network_timeout = ae.network_timeout

    @property
    def host(self) -> str:
        """Where the caller is."""
        address = self.requestor.address_info
        return "" if address is None else canonical(address.address)

    @property
    def is_admitted(self) -> bool:
        """Whether it counts against the limit of associations."""
        over = self.is_released or self.is_aborted or self.is_rejected
        return self.admitted and not over

    def quiet_s(self) -> float:
        """Say for how long no message has been on its way or being served."""
        if self.serving or self.dimse.assembler.is_partial or not self.dimse.requests.empty():
            return 0.0
        return time.monotonic() - self.dul.heard_at

    def kill(self) -> None:
        """End both threads."""
        self._kill = True
        self.bell.set()
        super().kill()

    def _run_reactor(self) -> None:
        while not self._kill:
            self.bell.wait(CHECK_S)
            self.bell.clear()
            while self.is_established and self._serve_next():
                pass
            self._end_if_over()

    def _serve_next(self) -> bool:
        try:
            message = self.dimse.requests.get_nowait()
        except Empty:
            return False
        self.serving = True
        try:
            self._serve(message)
        except Exception:  # noqa: BLE001 - the thread's edge: no answer, so no association
            self.abort(block=False)
        finally:
            self.serving = False
            self.dul._idle_timer.restart()  # it is the peer's silence that counts
        return True

    def _serve(self, message: Message) -> None:
        context = self._accepted_cx.get(message.context_id)
        field = message.number(COMMAND_FIELD)
        if context is None or field is None or message.number(MESSAGE_ID) is None:
            # no response could say what it answers (PS3.7 9.3, PS3.8 9.3.5.1)
            if field != C_CANCEL_RQ:
                self.abort(block=False)
        elif message.is_too_large:
            self._respond(message, OUT_OF_RESOURCES, "the object is larger than is taken")
        elif message.is_one_too_many:
            self._respond(message, OUT_OF_RESOURCES, "too much is on its way, repeat later")
        elif field in self._operations:
            self._respond(message, *self._operations[field](message, context, self))
        elif field == C_ECHO_RQ:
            self._respond(message, SUCCESS)
        elif not field & RESPONSE:
            self._respond(message, UNRECOGNISED_OPERATION)

    def _respond(self, request: Message, status: int, comment: str = "") -> None:
        encoded = encode_response(request, status, comment)
        for fragment in command_fragments(encoded, self.requestor.maximum_length or 0):
            primitive = P_DATA()
            # the setter takes a list of lists, whatever its type says
            primitive.presentation_data_value_list = [[request.context_id, fragment]]  # type: ignore[list-item] # pynetdicom annotates tuples, takes lists
            self.dul.send_pdu(primitive)

    def _end_if_over(self) -> None:
        """Release, abort or time out, as pynetdicom's own loop does."""
        if self.is_established and self.acse.is_release_requested():
            self.acse.send_release(is_response=True)
            self.is_released = True
            self.is_established = False
            self.kill()
        elif self.acse.is_aborted() or not self.dul.is_alive():
            self.is_aborted = True
            self.is_established = False
            self.kill()
        elif self.dul.idle_timer_expired() or self.dimse.is_overdue():
            self.abort()


class AcceptingServer(AssociationServer):
    """The listening socket; one association per connection, up to a limit."""

    request_queue_size = BACKLOG

    def __init__(
        self,
        ae: ApplicationEntity,
        address: tuple[str, int],
        operations: Operations,
        handlers: list[EventHandlerType],
        bounds: Bounds,
        secure: Secure | None = None,
    ) -> None:
        self.operations = operations
        self._secure = secure
        self.bounds = bounds
        self._lock = threading.Lock()
        self._started: set[EventDrivenAssociation] = set()
        self._handshakes: dict[threading.Thread, str] = {}
        """TLS that begins, and with which host."""
        self._closed = False
        super().__init__(
            ae,
            address,
            ae.ae_title,
            ae.supported_contexts,
            evt_handlers=handlers,
            request_handler=AcceptingHandler,
        )

    @property
    def connections(self) -> list[EventDrivenAssociation]:
        """The associations whose threads run, half-open and ending ones too."""
        with self._lock:
            self._started = {assoc for assoc in self._started if assoc.is_alive()}
            return list(self._started)

    def is_crowded(self) -> bool:
        """Say whether all associations together hold more than they may."""
        return sum(one.dimse.held() for one in self.connections) > self.bounds.all_bytes

    def verify_request(self, request: object, client_address: Any) -> bool:  # noqa: ANN401 - as socketserver has it
        """Take no more connections than threads can be had for, nor all from one host."""
        with self._lock:
            alive = [(one, host) for one, host in self._handshakes.items() if one.is_alive()]
            self._handshakes = dict(alive)
        hosts = [host for _, host in alive] + [one.host for one in self.connections]
        return self.bounds.has_place(hosts, canonical(client_address[0]))

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as socketserver has it
        """Log where accepting failed; the base class prints the error's words."""
        kind, _, trace = sys.exc_info()
        log_failure("association_failed", kind or Exception, trace)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as socketserver has it
        """Begin an association; over TLS on a thread, as a handshake takes its time."""
        if self._secure is None:
            super().process_request(request, client_address)
            return
        thread = threading.Thread(
            target=self._shake_hands,
            args=(self._secure, request, client_address),
            name="tls",
            daemon=True,
        )
        with self._lock:
            thread.start()
            self._handshakes[thread] = canonical(client_address[0])

    def _shake_hands(self, secure: Secure, request: socket.socket, address: Any) -> None:  # noqa: ANN401 - as above
        try:
            request.settimeout(self.ae.acse_timeout)
            secured = secure(request)
        except (OSError, NodeError) as error:
            log.warning("tls_handshake_failed", host=address[0], reason=in_words(error))
            request.close()
        else:
            if self._closed:
                secured.close()
            else:
                self.finish_request(secured, address)

    def begin(self, assoc: EventDrivenAssociation) -> None:
        """Start serving."""
        with self._lock:
            assoc.start()
            self._started.add(assoc)

    def shutdown(self) -> None:
        """Stop listening; what is open stays open."""
        self._closed = True
        super(AssociationServer, self).shutdown()
        self.server_close()


class AcceptingHandler(RequestHandler):
    """Makes the association for a new connection."""

    server: AcceptingServer

    def handle(self) -> None:
        """Start an association on the connection."""
        assoc = EventDrivenAssociation(self.ae, self.server.operations)
        assoc._server = self.server
        assoc.dimse.assembler.largest = self.server.bounds.object_bytes
        assoc.dimse.assembler.is_crowded = self.server.is_crowded
        assoc.name = f"association-{self.client_address[0]}:{self.client_address[1]}"
        assoc.set_socket(EventDrivenSocket(assoc, self.request))
        assoc.fingerprint = fingerprint_of(self.request)
        acceptor = assoc.acceptor
        acceptor.maximum_length = self.ae.maximum_pdu_size
        acceptor.ae_title = self.server.ae_title
        acceptor.address_info = self.local
        acceptor.implementation_class_uid = self.ae.implementation_class_uid
        acceptor.implementation_version_name = self.ae.implementation_version_name
        acceptor.supported_contexts = self.server.contexts  # only read in negotiation
        assoc.requestor.address_info = AddressInformation.from_tuple(self.client_address)
        for event, handlers in self.server._handlers.items():
            bound = [handlers] if isinstance(handlers, tuple) else handlers
            for handler, args in bound:
                assoc.bind(event, handler, args)
        self.server.begin(assoc)
