"""A read-only status page and health endpoints."""

import json
import threading
from collections.abc import Callable
from dataclasses import asdict
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import structlog

from dicom_node.console.page import page
from dicom_node.domain.census import Census
from dicom_node.domain.errors import NodeError

log = structlog.get_logger()

TakeCensus = Callable[[], Census]


def serve(host: str, port: int, take_census: TakeCensus, stop: threading.Event) -> None:
    """Serve until `stop`: `/`, `/status.json`, `/healthz`, `/readyz`.

    Nothing can be changed here and no patient is named, so the page asks for no
    login; bind it to loopback (the default) or put a proxy before it.
    """
    with ThreadingHTTPServer((host, port), _handler(take_census)) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        log.info("console_listening", host=host, port=server.server_address[1])
        stop.wait()
        server.shutdown()


def _handler(take_census: TakeCensus) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        server_version, sys_version = "dicom-node", ""
        timeout = 30

        def do_GET(self) -> None:
            """Answer one of the four addresses."""
            if self.path == "/healthz":
                self._answer(HTTPStatus.OK, "text/plain", "ok\n")
                return
            if self.path not in ("/", "/status.json", "/readyz"):
                self._answer(HTTPStatus.NOT_FOUND, "text/plain", "not here\n")
                return
            try:
                census = take_census()
            except NodeError as error:
                self._answer(HTTPStatus.SERVICE_UNAVAILABLE, "text/plain", f"{error}\n")
                return
            if self.path == "/readyz":
                self._answer(HTTPStatus.OK, "text/plain", "ready\n")
            elif self.path == "/status.json":
                self._answer(HTTPStatus.OK, "application/json", json.dumps(asdict(census)))
            else:
                self._answer(HTTPStatus.OK, "text/html; charset=utf-8", page(census))

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
