"""An HTTP server that no number of callers overruns."""

import socket
import socketserver
import threading
from http.server import ThreadingHTTPServer
from typing import Any


class BoundedServer(ThreadingHTTPServer):
    """A thread for each connection, up to a limit of connections and of requests."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: type, most: int) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, handler)
        self.stopping = False
        self._door = threading.Lock()
        self._most = most
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

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - the base's signature
        """Serve a connection, then count it off."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._connections.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """Stay silent: a connection that breaks is the caller's affair."""

    def enter(self) -> bool:
        """Take up a request, if there is room for it."""
        with self._door:
            if self.stopping or self.requests >= self._most:
                return False
            self.requests += 1
            return True

    def leave(self) -> None:
        """Count a request off."""
        with self._door:
            self.requests -= 1
