"""Who takes results over HTTP, and who sends images over it."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from dicom_node.domain.reception import Caller
from dicom_node.domain.study import HL7Destination, Peer, SRClass

UNNAMED = "DICOMWEB"
"""The calling AE title of a caller over HTTP that no peer stands for."""


@dataclass(frozen=True, slots=True)
class WebServer:
    """A server that results are sent to over HTTP; `url` is the service's base.

    The bearer token stands in a file or in an environment variable, never in the
    configuration.
    """

    name: str
    url: str
    token_file: str = ""
    token_env: str = ""
    ca_file: str = ""
    """Certificates (PEM) that the server's must be signed by; "": the usual ones."""
    timeout_s: float = 30.0
    """For a connection, and for each part of an answer."""

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

    def resolve_paths(self, folder: Path) -> Self:
        """Make relative paths absolute, starting from `folder`."""
        token_file, ca_file = (
            str(folder / path) if path else "" for path in (self.token_file, self.ca_file)
        )
        return replace(self, token_file=token_file, ca_file=ca_file)


@dataclass(frozen=True, slots=True)
class StowDestination(WebServer):
    """A DICOMweb server that receives results by STOW-RS (PS3.18 10.5).

    "/studies" is added to the `url`.
    """

    sr_class: SRClass = "comprehensive"
    reject_replaced: bool = False
    """Whether it gets rejection notes for results that later ones replace (IHE IOCM)."""


@dataclass(frozen=True, slots=True)
class FhirDestination(WebServer):
    """A FHIR R4 server that is notified of findings by transactions to its base."""

    patient_system: str = ""
    """The URI of the patient identifiers' system, if the server wants one."""
    allow_empty_patient_id: bool = False
    release: Literal["at_once", "after_objects"] = "at_once"
    """Send with the finding's commit, or wait until the PACS has the objects."""


Receiver = HL7Destination | FhirDestination
"""Who is notified of a finding by a message."""


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks over HTTP: the address, the bearer token, and what TLS showed."""

    host: str
    token: str = ""
    tls: bool = False
    fingerprint: str = ""


def caller_at(
    host: str,
    peers: tuple[Peer, ...],
    addresses_of: Callable[[str], Collection[str]],
    called_ae: str,
) -> Caller:
    """Name who calls from an address; HTTP knows no AE titles.

    It is the first peer at that address, one that may send before one that may not.
    """
    there = [peer for peer in peers if peer.host and host in addresses_of(peer.host)]
    named = [peer.ae_title for peer in sorted(there, key=lambda peer: not peer.may_send)]
    return Caller((*named, UNNAMED)[0], called_ae, host)


def wanting_rejection(peers: Iterable[Peer], servers: Iterable[StowDestination]) -> frozenset[str]:
    """Name the destinations that get a rejection note for what later results replace."""
    wanting = {peer.name for peer in peers if peer.reject_replaced}
    return frozenset(wanting | {server.name for server in servers if server.reject_replaced})
