"""An HTTP server that no number of callers overruns."""

import socket
import socketserver
import threading
from http.server import ThreadingHTTPServer
from typing import Any

import structlog

from dicom_node.domain.errors import NodeError
from dicom_node.network.tls.sockets import HANDSHAKE_S, Secure

log = structlog.get_logger()


class BoundedServer(ThreadingHTTPServer):
    """A thread for each connection, up to a limit of connections and of requests."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(
        self, address: tuple[str, int], handler: type, most: int, secure: Secure | None
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, handler)
        self.stopping = False
        self._lock = threading.Lock()
        self._most = most
        self._secure = secure
        self.requests = 0
        # idle and half-open connections must not keep real ones out
        self._connections = threading.BoundedSemaphore(4 * most + 16)

    def server_bind(self) -> None:
        """Bind without asking the name server for our own name, as HTTPServer does."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "dicom-node", self.server_address[1]

    def verify_request(self, request: object, client_address: object) -> bool:
        """Turn away a connection above the limit."""
        return self._connections.acquire(blocking=False)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - the base's signature
        """Start the connection's thread; where none is to be had, give its place back."""
        try:
            super().process_request(request, client_address)
        except RuntimeError:
            self._connections.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - the base's signature
        """Serve a connection, then count it off."""
        try:
            super().process_request_thread(self._secured(request), client_address)
        except (OSError, NodeError) as error:  # of the handshake: the base handles its own
            log.warning("stow_handshake_failed", host=client_address[0], error=type(error).__name__)
            self.shutdown_request(request)
        finally:
            self._connections.release()

    def _secured(self, connection: socket.socket) -> socket.socket:
        """Shake hands where TLS is asked for; gives the socket to talk over."""
        if self._secure is None:
            return connection
        connection.settimeout(HANDSHAKE_S)
        return self._secure(connection)

    def handle_error(self, request: object, client_address: object) -> None:
        """Stay silent: a connection that breaks is the caller's affair."""

    def enter(self) -> bool:
        """Take up a request, if there is room for it."""
        with self._lock:
            if self.stopping or self.requests >= self._most:
                return False
            self.requests += 1
            return True

    def leave(self) -> None:
        """Count a request off."""
        with self._lock:
            self.requests -= 1
