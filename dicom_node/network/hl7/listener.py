"""Listens for HL7 messages over MLLP and answers each on its connection."""

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from dicom_node.domain.errors import NodeError
from dicom_node.network.hl7.mllp import Unframer, frame
from dicom_node.network.tls.sockets import HANDSHAKE_S, Secure, in_words

log = structlog.get_logger()

ACCEPT_S = 0.5
"""How soon the listener sees that it shall stop."""


@dataclass(frozen=True, slots=True)
class ListenerOptions:
    """Who is served, how, and within which bounds."""

    answer: Callable[[bytes], bytes | None]
    """Gives the answer to a message, None for none; raises ValueError to hang up."""
    admits: Callable[[str], bool]
    """Says whether an address may call."""
    max_connections: int = 16
    idle_s: float = 300.0
    """A connection that is silent for so long is closed."""
    block_s: float = 30.0
    """How long a block may take from its first byte to its last."""
    handshake_s: float = HANDSHAKE_S
    largest: int = 1 << 20
    """Bytes of one message."""
    secure: Secure | None = None
    """None: without TLS."""


class MllpListener:
    """One listening socket and a thread per connection."""

    def __init__(self, host: str, port: int, context: ListenerOptions) -> None:
        """Bind; raises OSError where the address cannot be had."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._context = context
        self._socket = socket.create_server((host, port), family=family)
        self._socket.settimeout(ACCEPT_S)
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._open: dict[threading.Thread, socket.socket] = {}
        self._accepting = threading.Thread(target=self._accept, name="mllp-accept")

    @property
    def port(self) -> int:
        """The port that is listened on."""
        port: int = self._socket.getsockname()[1]
        return port

    def start(self) -> None:
        """Begin to take connections."""
        self._accepting.start()

    def stop(self, drain_s: float) -> None:
        """Take no more; what has come in whole is still answered, within `drain_s`."""
        self._stop.set()
        self._accepting.join()
        self._socket.close()
        until = time.monotonic() + drain_s
        with self._lock:
            still = dict(self._open)
        for connection in still.values():
            _shut(connection, socket.SHUT_RD)  # the reader sees the end of the stream
        for thread, connection in still.items():
            thread.join(max(0.0, until - time.monotonic()))
            if thread.is_alive():
                _shut(connection, socket.SHUT_RDWR)
                thread.join()

    def _accept(self) -> None:
        while not self._stop.is_set():
            try:
                connection, address = self._socket.accept()
            except TimeoutError:
                continue
            except OSError as error:  # no file descriptor left, or the caller is gone already
                log.error("mllp_accept_failed", reason=str(error))
                self._stop.wait(ACCEPT_S)
                continue
            try:
                self._receive_caller(connection, address[0])
            except (OSError, RuntimeError) as error:  # no name server, no thread to be had
                log.error("mllp_accept_failed", reason=str(error))
                connection.close()

    def _receive_caller(self, connection: socket.socket, host: str) -> None:
        with self._lock:
            full = len(self._open) >= self._context.max_connections
        if full or not self._context.admits(host):
            log.warning("mllp_caller_refused", host=host, reason="full" if full else "unknown")
            connection.close()
            return
        thread = threading.Thread(target=self._serve, args=(connection, host), name="mllp")
        with self._lock:
            thread.start()
            self._open[thread] = connection

    def _serve(self, connection: socket.socket, host: str) -> None:
        bound = log.bind(host=host)
        try:
            with connection, self._secured(connection) as line:
                line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._converse(line)
        except (NodeError, ValueError, OSError) as error:
            # not the text of a ValueError or of the framing: it may quote the message
            # but for those of TLS, which quote nothing
            reason = in_words(error) if isinstance(error, OSError) else ""
            bound.warning("mllp_connection_closed", error=type(error).__name__, reason=reason)
        finally:
            with self._lock:
                del self._open[threading.current_thread()]

    def _secured(self, connection: socket.socket) -> socket.socket:
        """Shake hands where TLS is asked for; gives the socket to converse over."""
        if self._context.secure is None:
            return connection
        connection.settimeout(self._context.handshake_s)
        secured = self._context.secure(connection)
        with self._lock:
            self._open[threading.current_thread()] = secured
        if self._stop.is_set():  # and nobody could shut this socket
            _shut(secured, socket.SHUT_RD)
        return secured

    def _converse(self, connection: socket.socket) -> None:
        """Answer block after block until the caller hangs up or is silent for too long."""
        unframer = Unframer(self._context.largest)
        until = time.monotonic() + self._context.idle_s
        while (left_s := until - time.monotonic()) > 0:
            connection.settimeout(left_s)
            received = connection.recv(65536)
            if not received:
                return
            goes_on = unframer.unfinished
            for message in unframer.feed(received):
                self._answer(connection, message)
                goes_on = False
            if not unframer.unfinished:
                until = time.monotonic() + self._context.idle_s
            elif not goes_on:
                until = time.monotonic() + self._context.block_s
        raise TimeoutError

    def _answer(self, connection: socket.socket, message: bytes) -> None:
        reply = self._context.answer(message)
        if reply is not None:
            connection.settimeout(self._context.block_s)
            connection.sendall(frame(reply))


def _shut(connection: socket.socket, how: int) -> None:
    try:
        connection.shutdown(how)
    except OSError:
        return  # the caller was quicker
