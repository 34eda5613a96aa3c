"""The storage and verification SCP."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import structlog

from dicom_node.domain.archive import Spool
from dicom_node.domain.errors import BadSettings
from dicom_node.domain.exchange.commitment import NO_SUCH_CLASS, PUSH_MODEL
from dicom_node.domain.reception import Caller, StoreRequest
from dicom_node.domain.study import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION
from dicom_node.domain.work import Recorded
from dicom_node.network.dimse.acceptor import AcceptedAssociation, Intake, Terms, Unwanted
from dicom_node.network.dimse.commitment import SYNTAXES, ReportHandler
from dicom_node.network.dimse.intake import ReportIntake, StoreIntake
from dicom_node.network.dimse.messages import (
    C_STORE_RQ,
    COMMAND_FIELD,
    LARGEST_DATA_SET,
    N_EVENT_REPORT_RQ,
    Message,
)
from dicom_node.network.dimse.options import (
    IMAGE_CLASSES,
    IMAGE_SYNTAXES,
    MAX_PDU,
    NATIVE_SYNTAXES,
    VERIFICATION,
    Timeouts,
    prepare,
)
from dicom_node.network.dimse.server import AcceptingServer, Bounds
from dicom_node.network.dimse.upper_layer.negotiation import (
    CALLING_AE_NOT_RECOGNISED,
    LOCAL_LIMIT_EXCEEDED,
    OUR_REJECTIONS,
    Agreed,
    Rejection,
    Supported,
    is_ae_title,
    judge_request,
)
from dicom_node.network.dimse.upper_layer.pdu import AssociateRequest, UserInformation
from dicom_node.network.tls.sockets import Secure
from dicom_node.process.logs import log_failure
from dicom_node.process.throttle import ThrottledLog

log = structlog.get_logger()

SERVED: Mapping[str, Supported] = {
    VERIFICATION: Supported(tuple(map(str, NATIVE_SYNTAXES))),
    **{
        sop_class_uid: Supported(tuple(map(str, IMAGE_SYNTAXES))) for sop_class_uid in IMAGE_CLASSES
    },
}
"""The presentation contexts that are accepted, by abstract syntax."""
_WITH_REPORTS: Mapping[str, Supported] = {
    **SERVED,
    PUSH_MODEL: Supported(tuple(map(str, SYNTAXES)), requestor_is_scp=True),
}
"""And those of a peer that reports storage commitment, though it opened the association."""

REFUSALS = {
    (rejection.result, rejection.source, rejection.reason): rejection.words
    for rejection in OUR_REJECTIONS
}
"""Why a caller is rejected, by result, source and reason."""

QUIET_S = 1.0
"""Between two messages, after which a stop need not wait for an association."""
PLACE_S = 0.5
"""To wait for one: a caller that hung up and calls again may be quicker than we notice."""
ABORT_S = 5.0
"""For aborted associations to end."""


@dataclass(frozen=True, slots=True)
class Service:
    """Who is served, what for, and by what."""

    ae_title: str
    admit_caller: Callable[[Caller], bool]
    """Says whether a caller is served."""
    store: Callable[[StoreRequest], Recorded]
    """Stores one instance; raises Refused."""
    spool: Callable[[], Spool]
    """Begins the file of a data set; raises TryAgain."""
    max_associations: int = 64
    max_per_caller: int = 64
    """Of these, from one host."""
    max_object: int = LARGEST_DATA_SET
    """Bytes of a data set."""
    max_held: int = 4 << 30
    """Bytes of data sets on their way or being stored, on all associations together."""
    max_pdu: int = MAX_PDU
    timeouts: Timeouts = field(default_factory=Timeouts)
    reports: Callable[[Caller], ReportHandler | None] = lambda _: None
    """Gives what takes a caller's reports of storage commitment, if it may send any."""
    has_room: Callable[[], bool] = lambda: True
    """Says whether the disk is above its reserve; raises TryAgain."""
    is_known: Callable[[str], bool] = lambda _: True
    """Says whether a configured peer has this address; answers at once."""
    serves_unknown: bool = False
    """Whether callers may come from any address."""

    @property
    def bounds(self) -> Bounds:
        """How many connections are borne; half-open ones must not keep real ones out."""
        connections = 2 * self.max_associations + 16
        share = 3 if self.serves_unknown else 1
        return Bounds(
            connections=connections,
            of_one_host=min(2 * self.max_per_caller + 16, 3 * connections // 4),
            of_unknown=share * connections // 4,
            all_bytes=self.max_held,
        )


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
        self._lock = threading.Lock()
        self._log = ThrottledLog()

    def start(self) -> None:
        """Listen; raises BadSettings when the address cannot be had."""
        prepare()
        service = self._service
        try:
            server = AcceptingServer(self._address, service.bounds, service.is_known, self._terms)
        except OSError as error:
            host, port = self._address
            key = "node.port" if self._secure is None else "tls.port"
            raise BadSettings(
                f"node.host and {key}: cannot listen on {host}:{port}: {error.strerror}"
            ) from error
        self._server = server
        self._thread = threading.Thread(target=server.serve_forever, name="scp", daemon=True)
        self._thread.start()
        where = {"host": self._address[0], "port": self.port, "tls": self._secure is not None}
        log.info("scp_started", ae_title=service.ae_title, **where)

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return self._address[1] if self._server is None else self._server.server_address[1]

    @property
    def is_full(self) -> bool:
        """Whether also configured peers find no place."""
        server = self._server
        if server is None:
            return False
        admitted = sum(connection.is_admitted for connection in server.connections)
        return server.places.is_full or admitted >= self._service.max_associations

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
                    assoc.end()
            time.sleep(0.02)
        for assoc in open_ones:
            assoc.end()
        deadline = time.monotonic() + ABORT_S
        for assoc in open_ones:
            assoc.join(max(0.0, deadline - time.monotonic()))
        log.info("scp_stopped", aborted=len(open_ones))

    def _terms(self, is_crowded: Callable[[], bool]) -> Terms:
        service = self._service
        ours = UserInformation(service.max_pdu, IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION)
        return Terms(
            admit=self._admit,
            begin=self._begin,
            ours=ours,
            timeouts=service.timeouts,
            log=self._log,
            largest=service.max_object,
            is_crowded=is_crowded,
            secure=self._secure,
        )

    def _admit(
        self, request: AssociateRequest, assoc: AcceptedAssociation
    ) -> Rejection | Mapping[str, Supported]:
        """Take in or reject an association before it is negotiated."""
        caller = assoc.caller
        try:
            rejection = self._rejection(request, assoc)
        except Exception as error:  # noqa: BLE001 - the edge: in doubt, nobody comes in
            log_failure("caller_check_failed", type(error), error.__traceback__)
            rejection = CALLING_AE_NOT_RECOGNISED
        if rejection is None:
            log.info("association_accepted", calling_ae=caller.calling_ae, host=caller.host)
            return SERVED if self._service.reports(caller) is None else _WITH_REPORTS
        self._log.warning(
            "association_rejected",
            calling_ae=caller.calling_ae,
            host=caller.host,
            called_ae=caller.called_ae,
            reason=rejection.code,
            words=rejection.words,
        )
        return rejection

    def _rejection(self, request: AssociateRequest, assoc: AcceptedAssociation) -> Rejection | None:
        """Give the reason against the association, or take it in."""
        rejection = judge_request(request, self._service.ae_title)
        if rejection is not None:
            return rejection
        if not self._service.admit_caller(assoc.caller) or not is_ae_title(request.calling_ae):
            return CALLING_AE_NOT_RECOGNISED
        give_up_at = time.monotonic() + PLACE_S
        while not self._takes_in(assoc):
            if time.monotonic() > give_up_at:
                return LOCAL_LIMIT_EXCEEDED
            time.sleep(0.02)
        return None

    def _takes_in(self, assoc: AcceptedAssociation) -> bool:
        """Give the association its place, if there is one."""
        with self._lock:
            server = self._server
            taken = (
                ()
                if server is None
                else [other for other in server.connections if other.is_admitted]
            )
            of_caller = sum(other.host == assoc.host for other in taken)
            assoc.admitted = (
                server is not None
                and len(taken) < self._service.max_associations
                and of_caller < self._service.max_per_caller
            )
            return assoc.admitted

    def _begin(self, message: Message, agreed: Agreed, caller: Caller) -> Intake | None:
        """Begin to serve a C-STORE or a report; never raises."""
        field = message.number(COMMAND_FIELD)
        if field == C_STORE_RQ:
            service = self._service
            return StoreIntake(
                message, agreed, caller, service.spool, service.has_room, service.store
            )
        if field == N_EVENT_REPORT_RQ:
            record_report = self._service.reports(caller)
            if record_report is None or agreed.abstract_syntax != PUSH_MODEL:
                return Unwanted(NO_SUCH_CLASS, "no reports are taken in this context")
            return ReportIntake(message, agreed, record_report)
        return None
