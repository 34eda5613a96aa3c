"""What receiving and admitting callers need, whichever way they come."""

from functools import partial

import structlog

from dicom_node.assembly.parts import Parts
from dicom_node.domain.errors import NodeError
from dicom_node.flow.callers import CallerPolicy
from dicom_node.flow.receive import Reception
from dicom_node.formats.dicom.header import describe_file
from dicom_node.network.hosts import HostBook, KnownAddresses
from dicom_node.settings.settings import Settings
from dicom_node.storage.queue.callers import is_approved, list_callers, record_caller
from dicom_node.storage.queue.group_commit import GroupCommit
from dicom_node.storage.queue.orders import raise_priority

log = structlog.get_logger()


def reception_of(parts: Parts) -> Reception:
    """Give what receiving needs, whichever way an image comes."""
    return Reception(
        archive=parts.archive,
        ledger=GroupCommit(parts.ledger),
        describe=describe_file,
        routes=parts.settings.routes,
        min_free_bytes=int(parts.settings.receive.min_free_gb * 1e9),
        raise_priority=partial(raise_priority, parts.engine)
        if parts.settings.orders.port
        else None,
        note=parts.audit.received,
    )


def known_addresses(parts: Parts, policy: CallerPolicy) -> KnownAddresses:
    """Give what knows the addresses of peers that may send, and of approved callers."""
    hosts = {peer.host for peer in parts.settings.peers if peer.may_send and peer.host}

    def look_up() -> set[str]:
        found = {address for host in hosts for address in policy.addresses_of(host)}
        try:
            return found | {host for _, host, _ in list_callers(parts.engine)[1]}
        except NodeError as error:  # the database is away: peers are known all the same
            log.warning("callers_not_looked_up", reason=str(error))
            return found

    return KnownAddresses(look_up, at_once=hosts)


def serves_unknown(settings: Settings) -> bool:
    """Say whether callers may come from any address."""
    anywhere = any(peer.may_send and not peer.host for peer in settings.peers)
    return anywhere or settings.receive.unknown_callers == "accept"


def caller_policy(parts: Parts) -> CallerPolicy:
    """Give what decides about callers, whichever way they come."""
    return CallerPolicy(
        peers=parts.settings.peers,
        unknown_callers=parts.settings.receive.unknown_callers,
        addresses_of=HostBook().addresses_of,
        remember=partial(record_caller, parts.engine),
        is_approved=partial(is_approved, parts.engine),
        alert=parts.audit.refused,
    )
