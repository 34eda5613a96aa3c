"""The role that serves C-ECHO and C-STORE."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial

import structlog

from dicom_node.assembly import parts as node
from dicom_node.assembly.commitment import reports
from dicom_node.assembly.destinations import secured_entry
from dicom_node.assembly.reception import (
    caller_policy,
    known_addresses,
    reception_of,
    serves_unknown,
)
from dicom_node.domain.errors import NodeError
from dicom_node.domain.operations.monitoring import RECEIVER_FULL
from dicom_node.flow.callers import admit_caller
from dicom_node.flow.receive import receive
from dicom_node.network.dimse.scp import Service, StorageSCP
from dicom_node.operations.heartbeat import heartbeat
from dicom_node.process.supervisor import CONNECTIONS_DRAIN_S, wait_for_stop
from dicom_node.settings.settings import Settings
from dicom_node.storage.queue.alarms import set_alarms

log = structlog.get_logger()

CHECK_S = 5.0
"""How often to look whether all places are taken."""


def run(settings: Settings, stop: threading.Event) -> None:
    """Serve C-ECHO and C-STORE until `stop`, then drain."""
    with closing(node.open_parts(settings)) as parts:
        scps = _receivers(parts)
        with heartbeat(parts, "receive"), watching_capacity(parts, scps):
            for scp in scps:
                scp.start()
            wait_for_stop(stop)
            stops = [threading.Thread(target=scp.stop, args=(CONNECTIONS_DRAIN_S,)) for scp in scps]
            for thread in stops:
                thread.start()
            for thread in stops:
                thread.join()


@contextmanager
def watching_capacity(parts: node.Parts, scps: Sequence[StorageSCP]) -> Iterator[None]:
    """Keep an alarm open as long as configured peers find no place."""
    ended = threading.Event()
    thread = threading.Thread(target=_watch_capacity, args=(parts, scps, ended), name="capacity")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _watch_capacity(parts: node.Parts, scps: Sequence[StorageSCP], ended: threading.Event) -> None:
    reported: tuple[str, ...] | None = None
    while not ended.wait(CHECK_S):
        full = tuple(f"port {scp.port}: all associations are taken" for scp in scps if scp.is_full)
        if full != reported:
            try:
                set_alarms(parts.engine, RECEIVER_FULL, full, parts.clock())
                reported = full
            except NodeError as error:
                log.warning("capacity_alarm_not_raised", reason=str(error))


def _receivers(parts: node.Parts) -> list[StorageSCP]:
    """Make what listens, with TLS and without; raises BadSettings."""
    settings, reception = parts.settings, reception_of(parts)
    policy = caller_policy(parts)
    service = Service(
        ae_title=settings.node.ae_title,
        admit_caller=lambda caller: admit_caller(caller, policy, parts.clock()),
        store=lambda request: receive(request, reception, parts.clock()),
        spool=parts.archive.spool,
        has_room=lambda: parts.archive.free_bytes() >= reception.min_free_bytes,
        max_associations=settings.receive.max_associations,
        max_per_caller=settings.receive.max_per_caller,
        max_object=settings.receive.max_object_mb << 20,
        max_held=settings.receive.max_held_mb << 20,
        max_pdu=settings.receive.max_pdu,
        reports=partial(reports, parts),
        is_known=known_addresses(parts, policy),
        serves_unknown=serves_unknown(settings),
    )
    host, scps = settings.node.host, []
    if settings.tls.mode != "off":
        secure = parts.audit.guarded(secured_entry(settings))
        scps.append(StorageSCP(host, settings.tls.port, service, secure))
    if settings.tls.plain:
        scps.append(StorageSCP(host, settings.node.port, service))
    return scps
