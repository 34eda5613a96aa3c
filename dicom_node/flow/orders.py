"""Orders: one HL7 message becomes rows and an answer."""

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from dicom_node.domain.errors import GiveUp, TryAgain, speakable
from dicom_node.domain.exchange.orders import Envelope, Fault, MessageRefused, OrderMessage

log = structlog.get_logger()

INTERNAL_ERROR = 207
"""HL7 table 0357: application internal error."""


@dataclass(frozen=True, slots=True)
class OrderContext:
    """What hearing a message needs."""

    envelope_of: Callable[[bytes], Envelope]
    """Reads MSH, however damaged the rest; raises ValueError without one."""
    parse: Callable[[bytes, Envelope], OrderMessage]
    """Reads the message; raises MessageRefused."""
    store: Callable[[OrderMessage, float], int]
    """Writes what a message says and raises the priority of waiting jobs; gives how many.

    A repeat changes nothing, and completes what was broken off between the two. Raises
    TryAgain when the database is away.
    """


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered to a message; no fault means AA."""

    to: Envelope
    fault: Fault | None = None


def take_order_message(message: bytes, context: OrderContext, now: float) -> Reply:
    """Store what a message says and decide the answer.

    When the reply has no fault, orders and patients survive a power loss. Raises
    ValueError for bytes without an MSH, which cannot be answered.
    """
    envelope = context.envelope_of(message)
    # no identifier of the message is free of patients for sure, but for its type
    bound = log.bind(
        message_type=envelope.message_type[:3], trigger=envelope.trigger[:3], bytes=len(message)
    )
    try:
        parsed = context.parse(message, envelope)
        raised = context.store(parsed, now)
    except MessageRefused as refusal:
        fault = refusal.fault
        bound.warning("order_message_refused", code=fault.code, reason=fault.words)
        return Reply(envelope, fault)
    except (TryAgain, GiveUp, MemoryError) as error:
        bound.error("order_message_failed", error=type(error).__name__, reason=speakable(error))
        # AR, not AE: the sender keeps the message and repeats it (HL7 2.9.2.2)
        return Reply(envelope, Fault("AR", INTERNAL_ERROR, "not stored, repeat later"))
    except Exception as error:  # noqa: BLE001 - the listener's edge: no message may stop it
        bound.error("order_message_failed", error=type(error).__name__)
        return Reply(envelope, Fault("AE", INTERNAL_ERROR, "the message cannot be processed"))
    bound.info(
        "order_message_stored",
        orders=len(parsed.orders),
        patients=len(parsed.patients),
        merges=len(parsed.merges),
        raised=raised,
    )
    return Reply(envelope)
