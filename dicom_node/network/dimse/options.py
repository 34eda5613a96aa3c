"""What receiving and sending over DIMSE share."""

import logging
import socket
from dataclasses import dataclass

import pydicom.config
from pydicom import uid
from pynetdicom import _config, evt
from pynetdicom.events import Event, EventHandlerType

MAX_PDU = 131_072
"""Bytes; larger ones win nothing, unlimited (0) is the slowest of all."""

VERIFICATION = "1.2.840.10008.1.1"
NATIVE_SYNTAXES = (
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRLittleEndian,
    uid.DeflatedExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
)
"""Transfer syntaxes of C-ECHO, which has no data set."""

IMAGE_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.1",  # Computed Radiography
    "1.2.840.10008.5.1.4.1.1.1.1",  # Digital X-Ray, for presentation
    "1.2.840.10008.5.1.4.1.1.1.1.1",  # Digital X-Ray, for processing
    "1.2.840.10008.5.1.4.1.1.7",  # Secondary Capture
)
"""SOP classes that the node receives."""

IMAGE_SYNTAXES = (
    uid.ExplicitVRLittleEndian,
    uid.ImplicitVRLittleEndian,
    uid.JPEGLSLossless,
    uid.JPEG2000Lossless,
    uid.HTJ2KLossless,
    uid.HTJ2KLosslessRPCL,
    uid.JPEGLosslessSV1,
    uid.JPEGLossless,
    uid.RLELossless,
    uid.DeflatedExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.JPEG2000,
    uid.HTJ2K,
    uid.JPEGLSNearLossless,
    uid.JPEGBaseline8Bit,
    uid.JPEGExtended12Bit,
)
"""Transfer syntaxes of images, the preferred first (PS3.5 annex A).

Of those that a sender proposes in one context the first of this list is accepted:
native before compressed, lossless before lossy, so that no sender is made to
compress lossily for us.
"""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long to wait for a peer, in seconds."""

    connect_s: float = 10
    acse_s: float = 15
    """For an answer to an association or release request (PS3.8 9.1.5 ARTIM)."""
    dimse_s: float = 60
    """For a response to a DIMSE request."""
    network_s: float = 60
    """For anything at all on an open association."""


def prepare() -> None:
    """Configure pynetdicom and pydicom once per process, before the first AE.

    Identifiers that break the standard's rules pass unchanged: refusing or
    correcting them would lose images. Their warnings and pynetdicom's own log are
    silenced because they quote values, which may name a patient; what matters is
    logged by the node itself.
    """
    _config.LOG_HANDLER_LEVEL = "none"
    _config.LOG_REQUEST_IDENTIFIERS = False
    _config.LOG_RESPONSE_IDENTIFIERS = False
    _config.ENFORCE_UID_CONFORMANCE = False
    _config.VALIDATORS = {"AE": _any_text, "UI": _any_text}
    _config.STORE_SEND_CHUNKED_DATASET = True
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE


def _any_text(value: object) -> tuple[bool, str]:
    return isinstance(value, str), "must be str"


def no_delay(sock: socket.socket) -> None:
    """Send small segments at once instead of waiting for an ACK (RFC 896)."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def quick_ack(sock: socket.socket) -> None:
    """Acknowledge at once, for peers that do wait (40 ms per message).

    Linux forgets the option when it sends, so it is set again on each receipt.
    """
    if hasattr(socket, "TCP_QUICKACK"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


def _hurry_connection(event: Event) -> None:
    sock = _socket_of(event)
    if sock is not None:
        no_delay(sock)
        quick_ack(sock)


def _hurry_acknowledgement(event: Event) -> None:
    sock = _socket_of(event)
    if sock is not None:
        quick_ack(sock)


def _socket_of(event: Event) -> socket.socket | None:
    wrapped = event.assoc.dul.socket
    return None if wrapped is None else wrapped.socket


SOCKET_HANDLERS: list[EventHandlerType] = [
    (evt.EVT_CONN_OPEN, _hurry_connection),
    (evt.EVT_DATA_RECV, _hurry_acknowledgement),
]
"""Event handlers that every association gets, in and out."""
