"""DIMSE messages: pieces of fragments in, messages out; no I/O.

The command set is always implicit VR little endian (PS3.7 6.3.1), so it is read
and written here by hand, in microseconds and whatever its values hold.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from dicom_node.formats.dicom.attributes import clean
from dicom_node.network.dimse.upper_layer.connection import Data

C_STORE_RQ = 0x0001
C_ECHO_RQ = 0x0030
N_EVENT_REPORT_RQ = 0x0100
C_CANCEL_RQ = 0x0FFF
RESPONSE = 0x8000
NO_DATA_SET = 0x0101

# elements of group 0000 (PS3.7 E.1)
AFFECTED_SOP_CLASS_UID = 0x0002
COMMAND_FIELD = 0x0100
MESSAGE_ID = 0x0110
MESSAGE_ID_BEING_RESPONDED_TO = 0x0120
COMMAND_DATA_SET_TYPE = 0x0800
STATUS = 0x0900
ERROR_COMMENT = 0x0902
AFFECTED_SOP_INSTANCE_UID = 0x1000
EVENT_TYPE_ID = 0x1002

LONGEST_COMMENT = 64
"""Characters of ErrorComment, VR LO."""
LARGEST_COMMAND = 1 << 16
LARGEST_DATA_SET = 2 << 30
"""Bytes; beyond it nothing is read."""


class BrokenMessage(Exception):
    """Fragments that make no message: the association cannot go on."""


@dataclass(frozen=True, slots=True)
class Message:
    """A request or response: its command set, values by element number."""

    context_id: int
    command: dict[int, bytes]

    @property
    def has_data_set(self) -> bool:
        """Whether a data set follows (PS3.7 E.1)."""
        kind = self.command.get(COMMAND_DATA_SET_TYPE, b"")
        return int.from_bytes(kind, "little") != NO_DATA_SET

    def number(self, element: int) -> int | None:
        """Give a US value, None where it is missing or malformed."""
        value = self.command.get(element, b"")
        return int.from_bytes(value, "little") if len(value) == 2 else None

    def text(self, element: int) -> str:
        """Give a text value without its padding; "" where it is missing."""
        return clean(self.command.get(element, b"").decode("latin-1"))


class MessageReader:
    """Follows the fragments of one message after another (PS3.8 annex E.2).

    Commands are kept until they are complete; data sets pass by and are counted.
    """

    def __init__(self) -> None:
        self._context_id: int | None = None
        self._encoded = bytearray()
        self.message: Message | None = None
        """The one whose data set is coming."""
        self.size = 0
        """Bytes of that data set so far."""

    @property
    def is_partial(self) -> bool:
        """Whether a message has begun and not ended."""
        return self._context_id is not None

    def add(self, data: Data) -> Message | None:
        """Take a piece; give the message that is complete with it.

        Raises BrokenMessage. When a command is complete whose data set is yet to come,
        `message` is that command.
        """
        if self._context_id not in (None, data.context_id):
            raise BrokenMessage("fragment is of another context")
        self._context_id = data.context_id
        return self._add_command(data) if data.is_command else self._add_content(data)

    def _add_command(self, data: Data) -> Message | None:
        self._encoded += data.content
        if self.message is not None or len(self._encoded) > LARGEST_COMMAND:
            raise BrokenMessage("command set is too long or comes twice")
        if not data.ends:
            return None
        message = Message(data.context_id, decode_command(bytes(self._encoded)))
        self._encoded.clear()
        if not message.has_data_set:
            self._context_id = None
            return message
        self.message = message
        return None

    def _add_content(self, data: Data) -> Message | None:
        self.size += len(data.content)
        if self.message is None or self.size > LARGEST_DATA_SET:
            raise BrokenMessage("data set has no command or is too large")
        if not data.ends:
            return None
        complete, self.message = self.message, None
        self._context_id, self.size = None, 0
        return complete


def decode_command(encoded: bytes) -> dict[int, bytes]:
    """Decode a command set to its values; raises BrokenMessage."""
    values = {}
    offset = 0
    while offset < len(encoded):
        if offset + 8 > len(encoded):
            raise BrokenMessage("command set is cut")
        group, element, length = struct.unpack_from("<HHL", encoded, offset)
        offset += 8 + length
        if group != 0 or offset > len(encoded):
            raise BrokenMessage("command set is malformed")
        values[element] = encoded[offset - length : offset]
    return values


def encode_response(request: Message, status: int, comment: str = "") -> bytes:
    """Encode the response to a request; the request's UIDs go back as they came."""
    field = (request.number(COMMAND_FIELD) or 0) | RESPONSE
    values = {
        AFFECTED_SOP_CLASS_UID: request.command.get(AFFECTED_SOP_CLASS_UID, b""),
        COMMAND_FIELD: _us(field),
        MESSAGE_ID_BEING_RESPONDED_TO: request.command.get(MESSAGE_ID, b"\0\0"),
        COMMAND_DATA_SET_TYPE: _us(NO_DATA_SET),
        STATUS: _us(status),
        ERROR_COMMENT: _comment(comment),
        AFFECTED_SOP_INSTANCE_UID: request.command.get(AFFECTED_SOP_INSTANCE_UID, b""),
    }
    encoded = b"".join(_element(number, value) for number, value in values.items() if value)
    return _element(0x0000, struct.pack("<L", len(encoded))) + encoded


def command_fragments(encoded: bytes, max_pdu: int) -> Iterator[bytes]:
    """Cut a command set into fragments with control headers, for PDUs of `max_pdu`.

    0 means no limit. A PDV's own header takes six bytes of the PDU (PS3.8 annex D.1).
    """
    size = max(1, max_pdu - 6) if max_pdu else len(encoded)
    for start in range(0, len(encoded), size):
        is_last = start + size >= len(encoded)
        yield (b"\x03" if is_last else b"\x01") + encoded[start : start + size]


def _element(number: int, value: bytes) -> bytes:
    return struct.pack("<HHL", 0, number, len(value)) + value


def _us(value: int) -> bytes:
    return struct.pack("<H", value)


def _comment(text: str) -> bytes:
    """Encode an LO of the default repertoire, where the backslash delimits."""
    encoded = text.replace("\\", "/").encode("ascii", "replace")[:LONGEST_COMMENT]
    return encoded + b" " * (len(encoded) % 2)
