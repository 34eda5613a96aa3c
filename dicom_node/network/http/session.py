"""Sessions with HTTP servers: token, certificates, bounded answers."""

import os
import time
from pathlib import Path

import requests
from requests.auth import AuthBase

from dicom_node.domain.errors import TryAgain
from dicom_node.domain.exchange.destinations import WebServer

SLOWEST_SERVER = 100_000
"""Bytes per second below which a transfer counts as stuck."""
CHUNK = 1 << 16


class _Bearer(AuthBase):
    """Puts the token (RFC 6750 2.1) into a request, and the port into its Host."""

    def __init__(self, to: WebServer) -> None:
        self._to = to

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Complete a request; raises TryAgain as `token_of`."""
        token = token_of(self._to)
        if token:
            request.headers["Authorization"] = f"Bearer {token}"
        request.headers.pop("Host", None)  # dicomweb-client names no port (RFC 9112 3.2)
        return request


def open_session(to: WebServer) -> requests.Session:
    """Make a session with a server; the token is read for each of its requests."""
    session = requests.Session()
    session.auth = _Bearer(to)
    # requests would let the environment's certificates win over ours, and a netrc file
    # over the token
    session.trust_env = False
    bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    session.verify = to.ca_file or bundle or True
    session.proxies = requests.utils.get_environ_proxies(to.url)
    return session


def token_of(to: WebServer) -> str:
    """Read the bearer token anew, as it may be replaced; "" where none is wanted.

    Raises TryAgain where there should be one and is none.
    """
    if to.token_env:
        found = os.environ.get(to.token_env, "").strip()
        where = f"environment variable {to.token_env}"
    elif to.token_file:
        where = f"token_file {to.token_file}"
        try:
            found = Path(to.token_file).read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            raise TryAgain(f"{where} of {to.name!r} cannot be read") from None
    else:
        return ""
    if not found or not found.isascii() or not found.isprintable() or " " in found:
        raise TryAgain(f"{where} of {to.name!r} holds no token")
    return found


def content_of(response: requests.Response, largest: int, limit_s: float) -> bytes:
    """Read an answer of at most so many bytes; raises TryAgain for one that does not end.

    It may take `limit_s` and the time of its bytes at the slowest pace.
    """
    started, content = time.monotonic(), bytearray()
    for part in response.iter_content(CHUNK):
        content += part
        late = time.monotonic() - started > limit_s + len(content) / SLOWEST_SERVER
        if late or len(content) > largest:
            raise TryAgain(f"HTTP {response.status_code} with an answer that does not end")
    return bytes(content)


def in_words(error: OSError) -> str:
    """Say what failed without what requests quotes (addresses of proxies, headers)."""
    if isinstance(error, requests.exceptions.SSLError):
        return "TLS failed: certificate or protocol (see ca_file)"
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.ConnectionError):
        return "no connection, or one that broke"
    if not isinstance(error, requests.RequestException):
        return "the certificates of ca_file cannot be read"
    return f"the request failed ({type(error).__name__})"
