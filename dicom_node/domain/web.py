"""Servers that take results over HTTP."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from dicom_node.domain.study import SRClass
from dicom_node.domain.work import Outcome


@dataclass(frozen=True, slots=True)
class StowDestination:
    """A DICOMweb server that receives results by STOW-RS (PS3.18 10.5).

    `url` is the service's base, to which "/studies" is added. The bearer token
    stands in a file or in an environment variable, never in the configuration.
    """

    name: str
    url: str
    token_file: str = ""
    token_env: str = ""
    ca_file: str = ""
    """Certificates (PEM) that the server's must be signed by; "": the usual ones."""
    timeout_s: float = 30.0
    """For a connection, and for each part of an answer."""
    sr_class: SRClass = "comprehensive"

    def __post_init__(self) -> None:
        """Refuse what could not be sent to safely; raises ValueError."""
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("url must start with https:// (or http://) and a host")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("url must have no user, password, query or fragment; use token_file")
        if self.timeout_s <= 0:
            raise ValueError("timeout_s must be above 0")
        if self.token_file and self.token_env:
            raise ValueError("set token_file or token_env, not both")
        # RFC 6750 5.3: a bearer token goes over TLS alone
        if self.has_token and parts.scheme == "http" and not _is_loopback(parts.hostname):
            raise ValueError("a token goes over https:// only (http:// to loopback)")

    @property
    def has_token(self) -> bool:
        """Whether the server wants a token."""
        return bool(self.token_file or self.token_env)

    def found_from(self, folder: Path) -> Self:
        """Make relative paths absolute, starting from `folder`."""
        token_file, ca_file = (
            str(folder / path) if path else "" for path in (self.token_file, self.ca_file)
        )
        return replace(self, token_file=token_file, ca_file=ca_file)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def over_stow(outcome: Outcome, servers: Collection[str]) -> Outcome:
    """Let the deliveries to `servers` go by STOW-RS."""
    return replace(
        outcome,
        deliveries=tuple(
            replace(one, protocol="stow") if one.destination in servers else one
            for one in outcome.deliveries
        ),
    )
