"""A read-only status page, health and metrics."""

import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler

import structlog
from jinja2 import Environment, PackageLoader, StrictUndefined

from dicom_node.domain.errors import BadSettings, NodeError
from dicom_node.domain.operations.status import StatusSnapshot, without_quotes
from dicom_node.network.http.server import BoundedServer
from dicom_node.process.logs import log_failure
from dicom_node.roles.console.metrics import CONTENT_TYPE as METRICS_TYPE

log = structlog.get_logger()

TEXT = "text/plain; charset=utf-8"
AT_ONCE = 16
"""Looks; four times as many connections may be open."""

PAGES = Environment(
    loader=PackageLoader("dicom_node.roles.console"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
)
PAGES.filters |= {
    "age": lambda seconds: "" if seconds is None else f"{seconds:.0f} s",
    "when": lambda at: datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S"),
}


@dataclass(frozen=True, slots=True)
class Views:
    """What the server shows; each raises NodeError when the database is away."""

    snapshot: Callable[[], StatusSnapshot]
    missing: Callable[[], tuple[str, ...]]
    """The roles of which no process has lately shown life."""
    metrics: Callable[[], str]
    full: Callable[[], tuple[str, ...]] = lambda: ()
    """Where configured peers find no place, in words."""


class _Server(BoundedServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Log the class of what broke off an answer; the base class prints its words."""
        kind, _, trace = sys.exc_info()
        log_failure("console_failed", kind or Exception, trace)


@contextmanager
def serving(host: str, port: int, views: Views) -> Iterator[None]:
    """Serve `/`, `/status.json`, `/healthz`, `/readyz`, `/metrics` until the block ends.

    Nothing can be changed here and no patient is named, so the page asks for no
    login; bind it to loopback (the default) or put a proxy before it. Raises BadSettings
    when the port cannot be had.
    """
    try:
        listening = _Server((host, port), _handler(views), AT_ONCE, None)
    except (OSError, OverflowError) as error:
        raise BadSettings(
            f"console.host and console.port: cannot listen on {host}:{port}: {error}"
        ) from error
    with listening as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        log.info("console_listening", host=host, port=server.server_address[1])
        try:
            yield
        finally:
            server.shutdown()


Answer = tuple[HTTPStatus, str, str]
"""Status, content type and text."""


def _ready(views: Views) -> Answer:
    missing = views.missing()
    if missing:
        words = f"no sign of life from: {', '.join(missing)}\n"
        return HTTPStatus.SERVICE_UNAVAILABLE, TEXT, words
    full = views.full()
    if full:
        return HTTPStatus.SERVICE_UNAVAILABLE, TEXT, "\n".join((*full, ""))
    return HTTPStatus.OK, TEXT, "ready\n"


def _status(views: Views) -> Answer:
    # without login no receiver's own words are shown: they may name a patient
    return HTTPStatus.OK, "application/json", json.dumps(asdict(without_quotes(views.snapshot())))


def _page(views: Views) -> Answer:
    page = PAGES.get_template("status.html.j2").render(now=without_quotes(views.snapshot()))
    return HTTPStatus.OK, "text/html; charset=utf-8", page


def _metrics(views: Views) -> Answer:
    return HTTPStatus.OK, METRICS_TYPE, views.metrics()


ANSWERS: dict[str, Callable[[Views], Answer]] = {
    "/": _page,
    "/status.json": _status,
    "/healthz": lambda _: (HTTPStatus.OK, TEXT, "ok\n"),  # asks nobody: the process lives
    "/readyz": _ready,
    "/metrics": _metrics,
}


def _handler(views: Views) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        server_version, sys_version = "dicom-node", ""
        timeout = 30

        def do_GET(self) -> None:
            """Answer one of the addresses."""
            answer = ANSWERS.get(self.path)
            if answer is None:
                self._answer(HTTPStatus.NOT_FOUND, TEXT, "not here\n")
                return
            try:
                self._answer(*answer(views))
            except NodeError as error:
                self._answer(HTTPStatus.SERVICE_UNAVAILABLE, TEXT, f"{error}\n")

        def _answer(self, status: HTTPStatus, content_type: str, text: str) -> None:
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.send_header(
                "Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'"
            )
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base class's name
            """Stay silent: requests are not events of the node."""

    return Handler
