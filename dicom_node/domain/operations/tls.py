"""What a site configures of TLS, and when it runs out."""

import string
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

TlsMode = Literal["off", "server", "mutual"]
"""mutual: callers too show a certificate that `ca` has signed (PS3.15 B.12)."""

SOON_S = 30 * 86_400.0
"""How long before its end a certificate is warned of."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The PEM files that the node shows itself and judges others with; "": none."""

    certificate: str = ""
    key: str = ""
    key_password_file: str = ""
    ca: str = ""
    """Who signs the certificates of others; "": the system's authorities."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """One certificate of a file and the time for which it holds."""

    whose: str
    """The key of the configuration that names the file, or the peer that showed it."""
    subject: str
    begins_at: float
    expires_at: float

    def fault(self, now: float) -> str:
        """Say what is wrong with its dates now, or soon; "" while all is well."""
        whose = f"{self.whose} ({self.subject})"
        if now < self.begins_at:
            return f"{whose} is not valid before {_day(self.begins_at)}"
        if now >= self.expires_at:
            return f"{whose} expired on {_day(self.expires_at)}"
        if now >= self.expires_at - SOON_S:
            return f"{whose} expires on {_day(self.expires_at)}"
        return ""


def fingerprint(text: str) -> str:
    """Write a SHA-256 fingerprint in one way: 64 small hexadecimal digits.

    Takes what `openssl x509 -fingerprint -sha256` prints, colons and all; "" stays.
    Raises ValueError.
    """
    digits = text.replace(":", "").strip().lower()
    if digits and (len(digits) != 64 or set(digits) - set(string.hexdigits)):
        raise ValueError(
            "tls_fingerprint must be the SHA-256 of the certificate, 64 hexadecimal digits"
        )
    return digits


def pinned(tls: bool, text: str) -> str:
    """Check a destination's fingerprint against its `tls`; raises ValueError."""
    if text and not tls:
        raise ValueError("tls_fingerprint is of no use without tls = true")
    return fingerprint(text)


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")
