"""DIMSE messages: fragments in, messages out; no I/O.

The command set is always implicit VR little endian (PS3.7 6.3.1), so it is read
and written here by hand, in microseconds and whatever its values hold.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dicom_node.formats.dicom.attributes import clean

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
"""Bytes; a data set is held in memory until it is stored. Beyond it nothing is read."""
MEGABYTE = 1 << 20
SMALL_FRAGMENT = 4096
"""Bytes; fewer are copied, as a view keeps its whole PDU and costs more itself."""


class BrokenMessage(Exception):
    """Fragments that make no message: the association cannot go on."""


@dataclass(frozen=True, slots=True)
class Message:
    """A complete message: command values by element number, and the data set."""

    context_id: int
    command: dict[int, bytes]
    content: bytes = b""
    is_too_large: bool = False
    """Whether the data set was longer than is taken; its content was dropped."""
    is_one_too_many: bool = False
    """Whether too much was on its way besides; its content was dropped."""

    def number(self, element: int) -> int | None:
        """Give a US value, None where it is missing or malformed."""
        value = self.command.get(element, b"")
        return int.from_bytes(value, "little") if len(value) == 2 else None

    def text(self, element: int) -> str:
        """Give a text value without its padding; "" where it is missing."""
        return clean(self.command.get(element, b"").decode("latin-1"))


class Assembler:
    """Collects the fragments of one message after another (PS3.8 annex E.2)."""

    def __init__(self) -> None:
        self.largest = LARGEST_DATA_SET
        """Bytes; longer data sets are dropped."""
        self.is_crowded: Callable[[], bool] = lambda: False
        """Says whether all associations together hold too much; asked for each MB."""
        self._reset()

    def _reset(self) -> None:
        self._context_id: int | None = None
        self._encoded = bytearray()
        self._command: dict[int, bytes] | None = None
        self._fragments: list[memoryview | bytearray] = []
        self._one_too_many = False
        self.size = 0
        """Bytes of the data set so far."""

    @property
    def is_partial(self) -> bool:
        """Whether a message has begun and not ended."""
        return self._context_id is not None

    @property
    def is_dropping(self) -> bool:
        """Whether what comes of the data set is not kept."""
        return self._one_too_many or self.size > self.largest

    def add(self, context_id: int, fragment: memoryview) -> Message | None:
        """Take a fragment with its control header; give the message that it ends.

        Raises BrokenMessage.
        """
        if not fragment or self._context_id not in (None, context_id):
            raise BrokenMessage("fragment is empty or of another context")
        self._context_id = context_id
        is_last = bool(fragment[0] & 2)
        if fragment[0] & 1:
            return self._add_command(fragment[1:], is_last)
        return self._add_content(fragment[1:], is_last)

    def _add_command(self, fragment: memoryview, is_last: bool) -> Message | None:
        self._encoded += fragment
        if self._command is not None or len(self._encoded) > LARGEST_COMMAND:
            raise BrokenMessage("command set is too long or comes twice")
        if not is_last:
            return None
        self._command = decode_command(bytes(self._encoded))
        kind = self._command.get(COMMAND_DATA_SET_TYPE, b"")
        if int.from_bytes(kind, "little") == NO_DATA_SET:
            return self._complete()
        return None

    def _add_content(self, fragment: memoryview, is_last: bool) -> Message | None:
        before = self.size
        self.size += len(fragment)
        if self._command is None or self.size > LARGEST_DATA_SET:
            raise BrokenMessage("data set has no command or is too large")
        if self.size // MEGABYTE > before // MEGABYTE and self.is_crowded():
            self._one_too_many = True
        if self.is_dropping:
            self._fragments.clear()
        elif len(fragment) > SMALL_FRAGMENT:
            self._fragments.append(fragment)
        elif self._fragments and isinstance(self._fragments[-1], bytearray):
            self._fragments[-1] += fragment
        else:
            self._fragments.append(bytearray(fragment))
        return self._complete() if is_last else None

    def _complete(self) -> Message:
        content = b"".join(self._fragments)
        too_large = self.size > self.largest
        head = self._context_id or 0, self._command or {}
        message = Message(*head, content, too_large, self._one_too_many)
        self._reset()
        return message


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
