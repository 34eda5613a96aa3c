"""The STOW-RS origin server: DICOM objects by HTTP POST."""

import io
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler

import structlog

from dicom_node.domain.errors import BadSettings, Refused
from dicom_node.domain.exchange.destinations import Visitor
from dicom_node.domain.reception import (
    CANNOT_UNDERSTAND,
    CONFLICT,
    OUT_OF_RESOURCES,
    PROCESSING_FAILURE,
    SUCCESS,
    Caller,
    StoreRequest,
)
from dicom_node.domain.work import Recorded
from dicom_node.network.dicomweb.request import DICOM, JSON, Head, HeadRefused, bearer, judge_head
from dicom_node.network.dicomweb.store import (
    StoreOutcome,
    answer_to,
    refuse_unsupported,
    store_request,
)
from dicom_node.network.hosts import canonical
from dicom_node.network.http.body import Body, TimedSocket, chunked, discard, sized
from dicom_node.network.http.multipart import Malformed, Part, TooLarge, parts
from dicom_node.network.http.server import BoundedServer
from dicom_node.network.tls.sockets import Secure, fingerprint_of

log = structlog.get_logger()

IDLE_S = 20.0
"""For the next bytes of a request."""
HEAD_S = 20.0
"""For a request's line and headers, and between two requests."""
BODY_S = 30.0
"""For a request's content, beside the time that its bytes take."""
LINGER_S = 2.0
"""For a caller that still sends to notice our answer."""
MOST_PARTS = 10_000
_MORE_HEADERS: Mapping[int, Mapping[str, str]] = {
    401: {"WWW-Authenticate": "Bearer"},
    405: {"Allow": "POST"},
    503: {"Retry-After": "10"},
}


@dataclass(frozen=True, slots=True)
class StowService:
    """Who is served, and by what."""

    authenticate: Callable[[Visitor], Caller | None]
    """Names the caller, if it is served."""
    store: Callable[[StoreRequest], Recorded]
    """Stores one instance; raises Refused."""
    wants_token: bool
    max_requests: int
    max_object: int
    """Bytes."""
    max_request: int
    secure: Secure | None = None
    """None: without TLS."""


class StowSCP:
    """Serves POST /studies and /studies/{uid} on one port."""

    def __init__(self, host: str, port: int, service: StowService) -> None:
        self._service = service
        try:
            self._server = BoundedServer(
                (host, port), _handler(service), service.max_requests, service.secure
            )
        except (OSError, OverflowError) as error:
            raise BadSettings(
                f"dicomweb.host and dicomweb.port: cannot listen on {host}:{port}: {error}"
            ) from error
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="stow", daemon=True
        )

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Serve from now on."""
        self._thread.start()
        log.info("stow_started", host=self._server.server_address[0], port=self.port)

    def stop(self, drain_s: float) -> None:
        """Take no new connection; let requests that are under way finish."""
        self._server.stopping = True
        self._server.shutdown()
        self._thread.join()
        deadline = time.monotonic() + drain_s
        while self._server.requests and time.monotonic() < deadline:
            time.sleep(0.02)
        log.info("stow_stopped", cut=self._server.requests)
        self._server.server_close()


def _handler(service: StowService) -> type[BaseHTTPRequestHandler]:
    class Handler(_StowHandler):
        pass

    Handler.service = service
    return Handler


class _StowHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "dicom-node", ""
    wbufsize, disable_nagle_algorithm = -1, True  # an answer leaves in one piece
    service: StowService
    server: BoundedServer

    def setup(self) -> None:
        """Read the connection through a socket that watches the time."""
        super().setup()
        self.rfile.close()
        self._timed = TimedSocket(self.connection, IDLE_S)
        self.rfile = io.BufferedReader(self._timed, 1 << 16)

    def handle_one_request(self) -> None:
        """Serve one request, or end the connection when none comes in time."""
        self._timed.allow(HEAD_S)
        super().handle_one_request()
        if self.server.stopping:
            self.close_connection = True

    def handle_expect_100(self) -> bool:
        """Wait: the content is asked for once the headers are found good."""
        return True

    def do_GET(self) -> None:
        """Answer that this server only stores."""
        self._refuse(HTTPStatus.METHOD_NOT_ALLOWED)

    def do_POST(self) -> None:
        """Store the parts of the content, each by itself (PS3.18 10.5)."""
        caller = self.service.authenticate(self._visitor())
        if caller is None:
            wants = self.service.wants_token
            self._refuse(HTTPStatus.UNAUTHORIZED if wants else HTTPStatus.FORBIDDEN)
            return
        try:
            head = judge_head(self.path, self.headers, self.service.max_request)
        except HeadRefused as refusal:
            self._refuse(refusal.status)
            return
        if not self.server.enter():
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE)
            return
        try:
            self._store(caller, head)
        finally:
            self.server.leave()

    def _visitor(self) -> Visitor:
        return Visitor(
            canonical(str(self.client_address[0])),
            bearer(self.headers),
            tls=self.service.secure is not None,
            fingerprint=fingerprint_of(self.connection),
        )

    def _store(self, caller: Caller, head: Head) -> None:
        read = chunked(self.rfile) if head.length is None else sized(self.rfile, head.length)
        body = Body(read, self.service.max_request)
        self._timed.allow(BODY_S)
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.send_response_only(HTTPStatus.CONTINUE)
            self.end_headers()
            self.wfile.flush()
        outcomes: list[StoreOutcome] = []
        cut: tuple[HTTPStatus, int] | None = None
        try:
            for part in parts(body.read, head.boundary, self.service.max_object):
                began = time.monotonic()
                outcomes.append(self._stored(part, caller, head.study_uid))
                self._timed.extend(time.monotonic() - began)  # that was our time
                if len(outcomes) > MOST_PARTS:
                    raise TooLarge
            discard(body.read)
        except Malformed:
            cut = HTTPStatus.BAD_REQUEST, CANNOT_UNDERSTAND
        except TooLarge:
            cut = HTTPStatus.REQUEST_ENTITY_TOO_LARGE, OUT_OF_RESOURCES
        except MemoryError:
            cut = HTTPStatus.SERVICE_UNAVAILABLE, OUT_OF_RESOURCES
        except TimeoutError:
            cut = HTTPStatus.REQUEST_TIMEOUT, PROCESSING_FAILURE
        except OSError:  # the connection's own; of TLS not all are ConnectionErrors
            stored = sum(outcome.is_stored for outcome in outcomes)
            log.warning("stow_broken_off", calling_ae=caller.calling_ae, stored=stored)
            self.close_connection = True
            return
        self._conclude(caller, outcomes, cut, ended=body.ended)

    def _conclude(
        self,
        caller: Caller,
        outcomes: list[StoreOutcome],
        cut: tuple[HTTPStatus, int] | None,
        *,
        ended: bool,
    ) -> None:
        """Answer, also for a content that ended before its time."""
        if cut is not None:
            outcomes.append(StoreOutcome("", "", cut[1]))
        status, content = answer_to(outcomes)
        if cut is not None and not any(outcome.is_stored for outcome in outcomes):
            status = cut[0]
        log.info(
            "stow_answered",
            calling_ae=caller.calling_ae,
            host=caller.host,
            http_status=int(status),
            stored=sum(outcome.is_stored for outcome in outcomes),
            failed=sum(not outcome.is_stored for outcome in outcomes),
        )
        if not ended:
            self.close_connection = True
        self._answer(status, content, headers=_MORE_HEADERS.get(status, {}))
        if not ended:
            self._linger()

    def _stored(self, part: Part, caller: Caller, study_uid: str) -> StoreOutcome:
        """Store one part; never raises."""
        if part.media_type not in (DICOM, ""):
            return StoreOutcome("", "", CANNOT_UNDERSTAND)
        named = "", ""
        try:
            request = store_request(part.content, caller, study_uid)
            named = request.sop_class_uid, request.sop_instance_uid
            refuse_unsupported(request)
            recorded = self.service.store(request)
        except Refused as refusal:
            log.warning("part_refused", status=f"{refusal.status:04X}", reason=refusal.comment)
            return StoreOutcome(*named, refusal.status)
        except MemoryError:
            return StoreOutcome(*named, OUT_OF_RESOURCES)
        except Exception as error:  # noqa: BLE001 - the handler's edge: the other parts go on
            log.error("part_failed", error=type(error).__name__)
            return StoreOutcome(*named, PROCESSING_FAILURE)
        return StoreOutcome(*named, CONFLICT if recorded is Recorded.CONFLICT else SUCCESS)

    def _refuse(self, status: HTTPStatus) -> None:
        """Answer without having read the content, then end the connection."""
        log.warning("stow_refused", host=str(self.client_address[0]), http_status=int(status))
        self.close_connection = True
        self._answer(status, headers=_MORE_HEADERS.get(status, {}))
        self._linger()

    def _answer(
        self, status: HTTPStatus, content: bytes = b"", *, headers: Mapping[str, str]
    ) -> None:
        self.connection.settimeout(IDLE_S)
        self.send_response(status)
        if content:
            self.send_header("Content-Type", JSON)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Connection", "close" if self.close_connection else "keep-alive")
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()

    def _linger(self) -> None:
        """Take what still comes for a moment: closing at once would lose the answer."""
        self._timed.allow(LINGER_S, grows=False)
        try:
            self.connection.shutdown(socket.SHUT_WR)
            discard(self.rfile.read1)
        except OSError:
            return

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base class's name
        """Stay silent: what matters is logged with its fields."""
