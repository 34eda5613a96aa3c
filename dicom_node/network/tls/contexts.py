"""TLS contexts that follow their files.

BCP 195 without downgrading (PS3.15 B.10, B.12; RFC 9325 4.2): TLS 1.2 and 1.3 only,
and of 1.2 the suites with ephemeral keys and authenticated encryption.
"""

import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from dicom_node.domain.errors import BadSettings, TryAgain
from dicom_node.domain.operations.tls import TlsFiles
from dicom_node.network.tls.sockets import Context, SecureSocket, in_words

log = structlog.get_logger()

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2; those of 1.3 are all of this kind."""


def server_context(files: TlsFiles, *, mutual: bool) -> Context:
    """Make what receives; raises BadSettings."""
    context = _context(ssl.PROTOCOL_TLS_SERVER, files)
    # no session is resumed: each handshake sees the certificates of its time
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    if mutual:
        _load_authorities(context, files.ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(files: TlsFiles, pin: str = "") -> Context:
    """Make what sends; raises BadSettings.

    With a pin the peer's certificate must be that one, whoever signed it. Without,
    an authority that is trusted must have signed it for the peer's name or address.
    """
    context = _context(ssl.PROTOCOL_TLS_CLIENT, files)
    if pin:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.pin = pin
    elif files.ca:
        _load_authorities(context, files.ca)
    else:
        context.load_default_certs()
    return context


def _context(protocol: int, files: TlsFiles) -> Context:
    context = Context(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_ciphers(CIPHERS)
    if files.certificate:
        password = _password(files.key_password_file)
        for key in ("certificate", "key"):
            _readable(f"tls.{key}", getattr(files, key))
        try:
            context.load_cert_chain(files.certificate, files.key, lambda: password)
        except (ssl.SSLError, ValueError) as error:
            raise BadSettings(
                f"tls.certificate {files.certificate} and tls.key {files.key}: {in_words(error)}; "
                "both must be PEM, and an encrypted key needs tls.key_password_file"
            ) from None
    return context


def _load_authorities(context: Context, ca: str) -> None:
    _readable("tls.ca", ca)
    try:
        context.load_verify_locations(ca)
    except ssl.SSLError as error:
        raise BadSettings(f"tls.ca {ca}: {in_words(error)}; it must be PEM") from None


def _password(path: str) -> bytes:
    # never None: OpenSSL would ask for it on the terminal
    return _readable("tls.key_password_file", path).strip() if path else b""


def _readable(key: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise BadSettings(f"{key}: {path} cannot be read: {error.strerror}") from None


class Following:
    """Makes a context, and makes it anew when one of its files has changed.

    While the new files are unusable, or only half replaced, the old ones serve on.
    """

    def __init__(self, files: TlsFiles, make: Callable[[TlsFiles], Context]) -> None:
        self._files, self._make = files, make
        self._lock = threading.Lock()
        self._seen: tuple[object, ...] = ()
        self._context: Context | None = None

    def __call__(self) -> Context:
        """Give the context of the files as they are; raises BadSettings at first only."""
        with self._lock:
            found = _stamps(self._files)
            if self._context is None or found != self._seen:
                self._renew()
                self._seen = found
            assert self._context is not None  # noqa: S101 - types: _renew raised otherwise
            return self._context

    def _renew(self) -> None:
        try:
            context = self._make(self._files)
        except BadSettings as error:
            if self._context is None:
                raise
            log.error("certificate_not_reloaded", reason=str(error))
            return
        if self._context is not None:
            log.info("certificate_reloaded", certificate=self._files.certificate)
        self._context = context


@dataclass(frozen=True, slots=True)
class Securing:
    """Stands in for the context in pynetdicom; shows each socket before it connects."""

    context: Context
    show: Callable[[SecureSocket], None]

    def wrap_socket(
        self, sock: socket.socket, server_side: bool = False, server_hostname: str = ""
    ) -> SecureSocket:
        """Wrap as the context does."""
        name = server_hostname or None
        wrapped = self.context.wrap_socket(sock, server_side=server_side, server_hostname=name)
        assert isinstance(wrapped, SecureSocket)  # noqa: S101 - types
        self.show(wrapped)
        return wrapped


def usable(contexts: Callable[[], Context]) -> Context:
    """Give the context for one connection; raises TryAgain while the files are wrong."""
    try:
        return contexts()
    except BadSettings as error:
        raise TryAgain(str(error)) from error


def connect(
    host: str, port: int, timeout_s: float, contexts: Callable[[], Context] | None
) -> socket.socket:
    """Connect, over TLS where there are contexts; raises OSError and TryAgain.

    Connection and handshake may each take `timeout_s`.
    """
    context = None if contexts is None else usable(contexts)
    plain = socket.create_connection((host, port), timeout_s)
    return plain if context is None else context.wrap_socket(plain, server_hostname=host)


def fetch_certificate(
    host: str, port: int, timeout_s: float, contexts: Callable[[], Context]
) -> bytes:
    """Shake hands and hang up; gives the peer's certificate (DER).

    Raises OSError, of which some say that the certificate is wrong, and TryAgain.
    """
    with connect(host, port, timeout_s, contexts) as connection:
        assert isinstance(connection, SecureSocket)  # noqa: S101 - types
        return connection.getpeercert(binary_form=True) or b""


def accept(connection: socket.socket, contexts: Callable[[], Context]) -> socket.socket:
    """Shake hands with a caller within the socket's timeout; raises OSError, BadSettings."""
    return contexts().wrap_socket(connection, server_side=True)


def _stamps(files: TlsFiles) -> tuple[object, ...]:
    stamps: list[object] = []
    for path in (files.certificate, files.key, files.key_password_file, files.ca):
        try:
            found = Path(path).stat() if path else None
        except OSError:
            found = None
        # the change time too: it moves when a file becomes readable
        stamps.append(found and (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns))
    return tuple(stamps)
