"""The storage and verification SCP."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import structlog
from pydicom.uid import UID
from pynetdicom import AE, DEFAULT_TRANSFER_SYNTAXES, evt
from pynetdicom.events import Event
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined] # made at run time

from dicom_node.domain.errors import BadSettings, Refused
from dicom_node.domain.exchange.commitment import NO_SUCH_CLASS, PUSH_MODEL
from dicom_node.domain.reception import (
    CONFLICT,
    OUT_OF_RESOURCES,
    PROCESSING_FAILURE,
    SUCCESS,
    Caller,
    StoreRequest,
)
from dicom_node.domain.study import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION
from dicom_node.domain.work import Recorded
from dicom_node.formats.dicom.attributes import clean
from dicom_node.formats.dicom.part10 import file_head
from dicom_node.network.dimse.commitment import SYNTAXES, Hear, answer
from dicom_node.network.dimse.commitment import Event as CommitmentEvent
from dicom_node.network.dimse.intake import Bounds
from dicom_node.network.dimse.messages import (
    AFFECTED_SOP_CLASS_UID,
    AFFECTED_SOP_INSTANCE_UID,
    C_STORE_RQ,
    EVENT_TYPE_ID,
    LARGEST_DATA_SET,
    N_EVENT_REPORT_RQ,
    Message,
)
from dicom_node.network.dimse.options import (
    IMAGE_CLASSES,
    IMAGE_SYNTAXES,
    MAX_PDU,
    Timeouts,
    prepare,
)
from dicom_node.network.dimse.server import AcceptingServer, EventDrivenAssociation
from dicom_node.network.tls.sockets import Secure
from dicom_node.process.logs import log_failure

log = structlog.get_logger()

# A-ASSOCIATE-RJ result, source and reason (PS3.8 table 9-21)
CALLING_AE_NOT_RECOGNISED = (1, 1, 3)
CALLED_AE_NOT_RECOGNISED = (1, 1, 7)
LOCAL_LIMIT_EXCEEDED = (2, 3, 2)
REFUSALS = {
    CALLED_AE_NOT_RECOGNISED: "the called AE title is not the node's",
    CALLING_AE_NOT_RECOGNISED: "the caller is not known, may not send, or calls from elsewhere",
    LOCAL_LIMIT_EXCEEDED: "too many associations are open, or the node is stopping",
}
"""Why a caller is rejected."""

SERVED: tuple[tuple[str, tuple[str, ...]], ...] = (
    (str(Verification), tuple(str(one) for one in DEFAULT_TRANSFER_SYNTAXES)),
    *((sop_class, tuple(str(one) for one in IMAGE_SYNTAXES)) for sop_class in IMAGE_CLASSES),
)
"""The presentation contexts that are accepted: abstract syntax and transfer syntaxes."""

QUIET_S = 1.0
"""Between two messages, after which a stop need not wait for an association."""
ABORT_S = 5.0
"""For aborted associations to end."""


@dataclass(frozen=True, slots=True)
class Service:
    """Who is served, what for, and by what."""

    ae_title: str
    greet: Callable[[Caller], bool]
    """Says whether a caller is served."""
    store: Callable[[StoreRequest], Recorded]
    """Stores one instance; raises Refused."""
    max_associations: int = 64
    max_per_caller: int = 64
    """Of these, from one host."""
    max_object: int = LARGEST_DATA_SET
    """Bytes of a data set."""
    max_held: int = 4 << 30
    """Bytes of data sets on their way, on all associations together."""
    max_pdu: int = MAX_PDU
    timeouts: Timeouts = field(default_factory=Timeouts)
    reports: Callable[[Caller], Hear | None] = lambda _: None
    """Gives what hears a caller's reports of storage commitment, if it may send any."""


class StorageSCP:
    """Serves C-ECHO, C-STORE of images and reports of commitment on one port.

    With `secure` that port speaks TLS alone.
    """

    def __init__(
        self, host: str, port: int, service: Service, secure: Secure | None = None
    ) -> None:
        self._address = (host, port)
        self._secure = secure
        self._service = service
        self._server: AcceptingServer | None = None
        self._thread: threading.Thread | None = None
        self._door = threading.Lock()

    def start(self) -> None:
        """Listen; raises BadSettings when the address cannot be had."""
        prepare()
        service = self._service
        try:
            server = AcceptingServer(
                _application_entity(service),
                self._address,
                {C_STORE_RQ: self._store, N_EVENT_REPORT_RQ: self._report},
                [(evt.EVT_REQUESTED, self._admit)],
                # half-open connections must not keep real ones out
                Bounds(
                    connections=4 * service.max_associations + 16,
                    of_one_host=2 * service.max_per_caller + 16,
                    object_bytes=service.max_object,
                    all_bytes=service.max_held,
                ),
                secure=self._secure,
            )
        except OSError as error:
            host, port = self._address
            key = "node.port" if self._secure is None else "tls.port"
            raise BadSettings(
                f"node.host and {key}: cannot listen on {host}:{port}: {error.strerror}"
            ) from error
        self._server = server
        self._thread = threading.Thread(
            target=server.serve_forever, args=(0.1,), name="scp", daemon=True
        )
        self._thread.start()
        where = {"host": self._address[0], "port": self.port, "tls": self._secure is not None}
        log.info("scp_started", ae_title=service.ae_title, **where)

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return self._address[1] if self._server is None else self._server.server_address[1]

    def stop(self, drain_s: float) -> None:
        """Refuse new connections, let running ones finish, then abort the rest.

        An association with no message on its way for a second is aborted early:
        its sender has an answer for everything it sent.
        """
        if self._server is None or self._thread is None:
            return
        server, self._server = self._server, None
        server.shutdown()
        self._thread.join()
        deadline = time.monotonic() + drain_s
        while (open_ones := server.connections) and time.monotonic() < deadline:
            for assoc in open_ones:
                if assoc.quiet_s() > QUIET_S:
                    assoc.abort(block=False)
            time.sleep(0.02)
        for assoc in open_ones:
            assoc.abort(block=False)
        deadline = time.monotonic() + ABORT_S
        for assoc in open_ones:
            assoc.join(max(0.0, deadline - time.monotonic()))
        log.info("scp_stopped", aborted=len(open_ones))

    def _admit(self, event: Event) -> None:
        """Take in or reject an association before it is negotiated (EVT_REQUESTED)."""
        assoc = cast(EventDrivenAssociation, event.assoc)  # the server makes no others
        caller = self._caller(assoc)
        try:
            refusal = self._refusal(caller, assoc)
        except Exception as error:  # noqa: BLE001 - the handler's edge: in doubt, nobody comes in
            log_failure("greeting_failed", type(error), error.__traceback__)
            refusal = CALLING_AE_NOT_RECOGNISED
        bound = log.bind(calling_ae=caller.calling_ae, host=caller.host)
        if refusal is None:
            if self._service.reports(caller) is not None:
                own = assoc.acceptor.supported_contexts
                assoc.acceptor.supported_contexts = [*own, _commitment()]
            bound.info("association_accepted")
            return
        reason = "/".join(map(str, refusal))
        bound.warning("association_rejected", called_ae=caller.called_ae, reason=reason)
        assoc.acse.send_reject(*refusal)
        assoc.kill()

    def _refusal(
        self, caller: Caller, assoc: EventDrivenAssociation
    ) -> tuple[int, int, int] | None:
        """Give the reason against the association, or take it in."""
        if caller.called_ae != self._service.ae_title:
            return CALLED_AE_NOT_RECOGNISED
        if not self._service.greet(caller):
            return CALLING_AE_NOT_RECOGNISED
        with self._door:
            server = self._server
            taken = () if server is None else [one for one in server.connections if one.is_admitted]
            of_caller = sum(one.host == caller.host for one in taken)
            if (
                server is None
                or len(taken) >= self._service.max_associations
                or of_caller >= self._service.max_per_caller
            ):
                return LOCAL_LIMIT_EXCEEDED
            assoc.admitted = True
        return None

    def _store(
        self, message: Message, context: PresentationContext, assoc: EventDrivenAssociation
    ) -> tuple[int, str]:
        """Give the status and comment that answer a C-STORE; never raises."""
        try:
            recorded = self._service.store(_store_request(message, context, self._caller(assoc)))
        except Refused as refusal:
            return refusal.status, refusal.comment
        except MemoryError as error:
            log_failure("store_failed", type(error), error.__traceback__)
            return OUT_OF_RESOURCES, "out of memory"
        except Exception as error:  # noqa: BLE001 - the handler's edge: the association lives on
            log_failure("store_failed", type(error), error.__traceback__)
            return PROCESSING_FAILURE, "internal error"
        if recorded is Recorded.CONFLICT:
            return CONFLICT, "instance is known with other content; the first is kept"
        return SUCCESS, ""

    def _report(
        self, message: Message, context: PresentationContext, assoc: EventDrivenAssociation
    ) -> tuple[int, str]:
        """Give the status and comment that answer an N-EVENT-REPORT; never raises."""
        hear = self._service.reports(self._caller(assoc))
        if hear is None or context.abstract_syntax != PUSH_MODEL:
            return NO_SUCH_CLASS, "no reports are taken in this context"
        event = CommitmentEvent(
            sop_class_uid=message.text(AFFECTED_SOP_CLASS_UID),
            sop_instance_uid=message.text(AFFECTED_SOP_INSTANCE_UID),
            event_type=message.number(EVENT_TYPE_ID),
            content=message.content,
            syntax_uid=str(context.transfer_syntax[0]),
        )
        return answer(event, hear)

    def _caller(self, assoc: EventDrivenAssociation) -> Caller:
        """Read who calls from the association request, whatever it holds."""
        request = assoc.requestor.primitive
        return Caller(
            calling_ae=clean(getattr(request, "calling_ae_title", None) or ""),
            called_ae=clean(getattr(request, "called_ae_title", None) or ""),
            host=assoc.host,
            tls=self._secure is not None,
            fingerprint=assoc.fingerprint,
        )


def _application_entity(service: Service) -> AE:
    ae = AE(ae_title=service.ae_title)
    ae.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
    ae.implementation_version_name = IMPLEMENTATION_VERSION
    ae.maximum_pdu_size = service.max_pdu
    ae.maximum_associations = 1 << 30  # counted in _refusal, without half-open ones
    ae.acse_timeout = service.timeouts.acse_s
    ae.dimse_timeout = service.timeouts.dimse_s
    ae.network_timeout = service.timeouts.network_s
    for sop_class, syntaxes in SERVED:
        ae.add_supported_context(sop_class, list(syntaxes))
    return ae


def _commitment() -> PresentationContext:
    """Let the peer be the SCP, though it opened the association (PS3.4 J.2.2)."""
    context = build_context(PUSH_MODEL, list(SYNTAXES))
    context.scu_role, context.scp_role = False, True
    return context


def _store_request(message: Message, context: PresentationContext, caller: Caller) -> StoreRequest:
    class_uid = message.text(AFFECTED_SOP_CLASS_UID)
    instance_uid = message.text(AFFECTED_SOP_INSTANCE_UID)
    syntax = str(context.transfer_syntax[0])
    return StoreRequest(
        caller=caller,
        context_class_uid=str(context.abstract_syntax),
        sop_class_uid=class_uid,
        sop_instance_uid=instance_uid,
        transfer_syntax_uid=syntax,
        file_head=file_head(class_uid, instance_uid, syntax),
        content=message.content,
    )
