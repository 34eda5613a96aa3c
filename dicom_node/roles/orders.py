"""Listens for orders and patient updates by HL7."""

import threading
from collections.abc import Callable
from contextlib import closing
from functools import partial

import structlog

from dicom_node.assembly.destinations import secured_entry
from dicom_node.assembly.parts import Parts, open_parts
from dicom_node.domain.errors import BadSettings
from dicom_node.flow.orders import OrderContext, take_order_message
from dicom_node.formats.hl7.segments import envelope_of
from dicom_node.network.hl7.acknowledgement import acknowledgement
from dicom_node.network.hl7.listener import ListenerOptions, MllpListener
from dicom_node.network.hl7.orders import parse
from dicom_node.network.hosts import HostBook, canonical
from dicom_node.operations.heartbeat import heartbeat
from dicom_node.process.supervisor import CONNECTIONS_DRAIN_S, wait_for_stop
from dicom_node.settings.settings import Settings
from dicom_node.storage.queue import orders

log = structlog.get_logger()


def run(settings: Settings, stop: threading.Event) -> None:
    """Hear orders and patient updates by HL7 until `stop`, then drain."""
    with closing(open_parts(settings)) as parts:
        listening = listener(parts)
        with heartbeat(parts, "orders"):
            listening.start()
            log.info("orders_ready", port=listening.port)
            wait_for_stop(stop)
            listening.stop(CONNECTIONS_DRAIN_S)


def listener(parts: Parts) -> MllpListener:
    """Make the listener of the configuration, bound and not yet started.

    Raises BadSettings where it is off, or its address cannot be had.
    """
    wanted = parts.settings.orders
    if not wanted.port:
        raise BadSettings("orders.port = 0: the listener is off; set a port and who may call")
    parsing = partial(parse, processing_id=wanted.processing_id)
    context = OrderContext(envelope_of, parsing, partial(orders.store, parts.engine))

    def answer(message: bytes) -> bytes | None:
        now = parts.clock()
        reply = take_order_message(message, context, now)
        return acknowledgement(reply.to, reply.fault, now)

    options = ListenerOptions(
        answer,
        parts.audit.admitting(caller_check(wanted.callers)),
        wanted.max_connections,
        wanted.idle_s,
        secure=parts.audit.guarded(secured_entry(parts.settings)) if wanted.tls else None,
    )
    try:
        return MllpListener(wanted.host, wanted.port, options)
    except OSError as error:
        where = f"{wanted.host}:{wanted.port}"
        raise BadSettings(f"orders: cannot listen on {where}: {error.strerror}") from None


def caller_check(callers: tuple[str, ...]) -> Callable[[str], bool]:
    """Make what says whether an address may call; names are resolved when they are needed."""
    book = HostBook()

    def admits(address: str) -> bool:
        ours = canonical(address)
        if "*" in callers or ours in callers:
            return True  # nobody else's connection waits for a name server that is away
        return any(ours in book.addresses_of(caller) for caller in callers)

    return admits
