"""Receiving over HTTP: who may store, and how it is stored."""

import hmac
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import structlog

from dicom_node.assembly import parts as node
from dicom_node.assembly.destinations import secured_entry
from dicom_node.assembly.parts import open_parts
from dicom_node.assembly.reception import caller_policy, reception_of
from dicom_node.domain.errors import BadSettings
from dicom_node.domain.exchange.destinations import Visitor, caller_at
from dicom_node.domain.reception import Caller
from dicom_node.flow.callers import admit_caller
from dicom_node.flow.receive import receive
from dicom_node.network.dicomweb.scp import StowSCP, StowService
from dicom_node.operations.heartbeat import heartbeat
from dicom_node.process.supervisor import CONNECTIONS_DRAIN_S, wait_for_stop
from dicom_node.settings.settings import Settings

log = structlog.get_logger()


def run(settings: Settings, stop: threading.Event) -> None:
    """Receive by STOW-RS until `stop`, then drain."""
    with closing(open_parts(settings)) as parts:
        scp = server(parts)
        with heartbeat(parts, "dicomweb"):
            scp.start()
            wait_for_stop(stop)
            scp.stop(CONNECTIONS_DRAIN_S)


def server(parts: node.Parts) -> StowSCP:
    """Make the server that the configuration asks for; raises BadSettings."""
    section = parts.settings.dicomweb
    if not section.port:
        raise BadSettings("dicomweb.port = 0: receiving over HTTP is off; set a port")
    if section.token_file and not token_of(section.token_file):
        raise BadSettings(f"dicomweb.token_file: {section.token_file} holds no readable token")
    reception = reception_of(parts)
    service = StowService(
        authenticate=_caller_policy(parts),
        store=lambda request: receive(request, reception, parts.clock()),
        wants_token=bool(section.token_file),
        max_requests=section.max_requests,
        max_object=section.max_object_mb << 20,
        max_request=section.max_request_mb << 20,
        secure=parts.audit.guarded(secured_entry(parts.settings)) if section.tls else None,
    )
    return StowSCP(section.host, section.port, service)


def _caller_policy(parts: node.Parts) -> Callable[[Visitor], Caller | None]:
    """Know callers by the token, or without one by their address as over DIMSE."""
    settings, policy = parts.settings, caller_policy(parts)

    def authenticate(visitor: Visitor) -> Caller | None:
        ours = settings.node.ae_title
        caller = caller_at(visitor.host, settings.peers, policy.addresses_of, ours)
        caller = replace(caller, tls=visitor.tls, fingerprint=visitor.fingerprint)
        if settings.dicomweb.token_file:
            known = _has(visitor.token, settings.dicomweb.token_file)
            parts.audit.credentials(caller, right=known)
        else:
            known = admit_caller(caller, policy, parts.clock())
        return caller if known else None

    return authenticate


def _has(token: str, file: str) -> bool:
    """Compare with the file's token, read anew so that it may be replaced."""
    wanted = token_of(file)
    if not wanted:
        log.error("token_unreadable", key="dicomweb.token_file")
    shown = token.encode("utf-8", "surrogateescape")
    return bool(wanted) and hmac.compare_digest(shown, wanted)


def token_of(file: str) -> bytes:
    """Read a token; none where it cannot be read."""
    try:
        return Path(file).read_bytes().strip()
    except OSError:
        return b""
