"""What receiving and admitting callers need, whichever way they come."""

from functools import partial

from dicom_node.assembly.parts import Parts
from dicom_node.flow.callers import CallerPolicy
from dicom_node.flow.receive import Reception
from dicom_node.formats.dicom.header import describe_file
from dicom_node.network.hosts import HostBook
from dicom_node.storage.queue.callers import is_approved
from dicom_node.storage.queue.orders import SqlOrderBook


def reception_of(parts: Parts) -> Reception:
    """Give what receiving needs, whichever way an image comes."""
    return Reception(
        archive=parts.archive,
        ledger=parts.ledger,
        describe=describe_file,
        routes=parts.settings.routes,
        min_free_bytes=int(parts.settings.receive.min_free_gb * 1e9),
        raise_priority=SqlOrderBook(parts.engine).raise_priority
        if parts.settings.orders.port
        else None,
        note=parts.audit.received,
    )


def caller_policy(parts: Parts) -> CallerPolicy:
    """Give what decides about callers, whichever way they come."""
    return CallerPolicy(
        peers=parts.settings.peers,
        unknown_callers=parts.settings.receive.unknown_callers,
        addresses_of=HostBook().addresses_of,
        remember=parts.ledger.record_caller,
        is_approved=partial(is_approved, parts.engine),
        alert=parts.audit.refused,
    )
