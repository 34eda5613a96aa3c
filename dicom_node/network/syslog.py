"""Sends audit messages to a syslog server (PS3.15 A.6)."""

import contextlib
import fcntl
import socket
import ssl
import struct
import termios
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from dicom_node.domain.errors import TryAgain
from dicom_node.network.tls.contexts import connect
from dicom_node.network.tls.sockets import Context, in_words

Transport = Literal["tcp", "tls", "udp"]

PRIORITY = 10 * 8 + 5
"""Facility security/authorization, severity notice (RFC 5424 6.2.1)."""
MESSAGE_ID = "DICOM+RFC3881"
"""MSGID of an audit message in XML (PS3.15 A.6.1)."""
TIMEOUT_S = 5.0
LONGEST_DATAGRAM = 65_000


@dataclass(frozen=True, slots=True)
class Server:
    """A syslog server."""

    host: str
    port: int
    transport: Transport = "tcp"
    contexts: Callable[[], Context] | None = None
    """Makes connections secure; for "tls" alone."""


def frame(message: str, at: float, host: str, process_id: int) -> bytes:
    """Write one message as RFC 5424 6 has it, without what a transport adds."""
    when = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    name = "".join(character if "!" <= character <= "~" else "-" for character in host)[:255] or "-"
    head = f"<{PRIORITY}>1 {when} {name} dicom-node {process_id} {MESSAGE_ID} - "
    return head.encode() + b"\xef\xbb\xbf" + message.encode()


def send(frames: Sequence[bytes], to: Server) -> None:
    """Send all frames; on return the server has them. Raises TryAgain.

    By UDP that cannot be known. By TCP and TLS the connection is closed after them,
    and the server's close, or its kernel's acknowledgement, shows that they came.
    """
    try:
        if to.transport == "udp":
            _send_datagrams(frames, to)
        else:
            _send_stream(frames, to)
    except (OSError, ValueError) as error:
        words = in_words(error)
        raise TryAgain(f"audit.syslog {to.host}:{to.port}: {words}") from error


def _send_datagrams(frames: Sequence[bytes], to: Server) -> None:
    family, kind, protocol, _, address = socket.getaddrinfo(
        to.host, to.port, type=socket.SOCK_DGRAM
    )[0]
    with socket.socket(family, kind, protocol) as server:
        for frame in frames:
            server.sendto(frame[:LONGEST_DATAGRAM], address)


def _send_stream(frames: Sequence[bytes], to: Server) -> None:
    secure = to.contexts if to.transport == "tls" else None
    with connect(to.host, to.port, TIMEOUT_S, secure) as server:
        server.settimeout(TIMEOUT_S)
        # octet counting (RFC 5425 4.3, RFC 6587 3.4.1): a message may hold line ends
        server.sendall(b"".join(b"%d %b" % (len(frame), frame) for frame in frames))
        _close_gracefully(server)


def _close_gracefully(server: socket.socket) -> None:
    """Close in order and wait until all has been taken; raises OSError otherwise."""
    if isinstance(server, ssl.SSLSocket):
        with contextlib.suppress(ssl.SSLError, TimeoutError, ConnectionError):
            server.unwrap()
            return
    with contextlib.suppress(OSError):
        socket.socket.shutdown(server, socket.SHUT_WR)
    try:
        while server.recv(4096):
            pass
    except TimeoutError:
        left = fcntl.ioctl(server.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
        if struct.unpack("i", left)[0]:
            raise TimeoutError("not all was taken in time") from None
