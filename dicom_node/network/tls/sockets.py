"""TLS sockets: pinned, never plain by mistake, their faults in words."""

import hashlib
import hmac
import socket
import ssl
from collections.abc import Callable
from typing import Any

HANDSHAKE_S = 10.0
"""How long TLS may take to begin, where no other limit holds."""
Secure = Callable[[socket.socket], socket.socket]
"""Shakes hands with a caller within the socket's timeout; raises OSError and NodeError."""

REASONS = {
    "WRONG_VERSION_NUMBER": "no TLS was spoken, or a version that is too old",
    "UNSUPPORTED_PROTOCOL": "only versions that are too old were offered",
    "HTTP_REQUEST": "HTTP came instead of TLS",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "the caller shows no certificate",
    "NO_SHARED_CIPHER": "no cipher suite in common",
    "KEY_VALUES_MISMATCH": "certificate and key are not of one pair",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "the peer asks for our certificate (tls.certificate)",
    "TLSV1_ALERT_UNKNOWN_CA": "the other side does not know who signed our certificate",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "the other side broke off the handshake",
}
"""What OpenSSL's commonest reasons mean."""


class OtherCertificate(OSError):
    """The peer's certificate is not the one that is pinned."""


class SecureSocket(ssl.SSLSocket):
    """A TLS socket that compares the pin and never falls back to plain text."""

    refusal: OSError | None = None
    """What the handshake failed by, or the alert that came after it."""

    def do_handshake(self, block: bool = False) -> None:
        """Shake hands; raises SSLCertVerificationError for another certificate."""
        try:
            super().do_handshake(block)
            pin = getattr(self.context, "pin", "")
            if pin and not hmac.compare_digest(pin, fingerprint_of(self)):
                raise OtherCertificate("the certificate is not the one of tls_fingerprint")
        except OSError as error:
            self.refusal = error
            raise

    def read(self, len: int = 1024, buffer: Any = None) -> Any:  # noqa: A002, ANN401 - as SSLSocket has it
        """Read, and keep the alert by which the peer refuses us (TLS 1.3: only now)."""
        try:
            return super().read(len, buffer)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            self.refusal = error
            raise

    def shutdown(self, how: int) -> None:
        """End the connection, but not the encryption of what another thread yet sends."""
        socket.socket.shutdown(self, how)


class Context(ssl.SSLContext):
    """A TLS context that makes such sockets; `pin` is a SHA-256 fingerprint or ""."""

    pin = ""
    sslsocket_class = SecureSocket


def fingerprint_of(connection: socket.socket) -> str:
    """Give the SHA-256 of the peer's certificate; "" for none."""
    if not isinstance(connection, ssl.SSLSocket):
        return ""
    shown = connection.getpeercert(binary_form=True)
    return hashlib.sha256(shown).hexdigest() if shown else ""


def in_words(error: Exception) -> str:
    """Say why TLS failed, without anything that was sent."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        reason = error.reason or type(error).__name__
        return REASONS.get(reason, reason.replace("_", " ").lower())
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error)
