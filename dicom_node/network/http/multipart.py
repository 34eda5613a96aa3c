"""Multipart bodies, cut into parts while they arrive (RFC 2046 5.1)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.message import Message

LONGEST_BOUNDARY = 200
"""RFC 2046 5.1.1 says 70; Orthanc's have 73."""
LONGEST_PADDING = 64
LONGEST_HEAD = 16 << 10
"""Bytes of a part's headers, and of what stands before the first part."""
CHUNK = 256 << 10

Read = Callable[[int], bytes]
"""Gives up to so many bytes, none at the end."""


class Malformed(Exception):
    """The body is not what its headers say; the text holds nothing of it."""


class TooLarge(Exception):
    """A part or the body is larger than the node takes."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part: its media type in lower case ("" for none) and its content."""

    media_type: str
    content: bytes


def media_type(header: str) -> tuple[str, dict[str, str]]:
    """Split a Content-Type into the type and its parameters (RFC 9110 8.3)."""
    message = Message()
    message["Content-Type"] = header.replace("\r", "").replace("\n", "")
    found = message.get_params() or [("", "")]
    kind = found[0][0].strip().lower()
    return kind, {name.lower(): value for name, value in found[1:] if isinstance(value, str)}


def parts(read: Read, boundary: str, largest: int) -> Iterator[Part]:
    """Yield the parts; raises Malformed, TooLarge for one above `largest` bytes.

    Never holds more than one part and a chunk.
    """
    if not 1 <= len(boundary) <= LONGEST_BOUNDARY or not boundary.isascii():
        raise Malformed("no boundary")
    # the first delimiter may open the body, without a line before it
    cutter = _Cutter(read, b"\r\n--" + boundary.encode("ascii"), bytearray(b"\r\n"))
    try:
        cutter.until_delimiter(LONGEST_HEAD)
    except TooLarge:
        raise Malformed("no delimiter with this boundary") from None
    while not cutter.at_end():
        head = cutter.head()
        yield Part(_type_of(head), cutter.until_delimiter(largest))


def _type_of(head: bytes) -> str:
    for line in head.replace(b"\r\n ", b" ").replace(b"\r\n\t", b" ").split(b"\r\n"):
        name, colon, value = line.partition(b":")
        if line and not colon:
            raise Malformed("a part's header is no header")
        if name.strip().lower() == b"content-type":
            return media_type(value.decode("latin-1"))[0]
    return ""


@dataclass
class _Cutter:
    read: Read
    delimiter: bytes
    buffer: bytearray

    def until_delimiter(self, largest: int) -> bytes:
        """Take what stands before the next delimiter, and the delimiter."""
        start = 0
        while True:
            at = self.buffer.find(self.delimiter, start)
            if at < 0:
                if len(self.buffer) > largest + len(self.delimiter):
                    raise TooLarge
                start = max(0, len(self.buffer) - len(self.delimiter) + 1)
                self._more()
                continue
            after = at + len(self.delimiter)
            if not self._ends_line(after):
                start = at + 1  # the content only happens to hold these bytes
                continue
            if at > largest:
                raise TooLarge
            content = bytes(memoryview(self.buffer)[:at])
            del self.buffer[:after]
            return content

    def at_end(self) -> bool:
        """Take the rest of a delimiter's line; say whether it was the last."""
        if self.buffer.startswith(b"--"):
            return True
        while (end := self.buffer.find(b"\r\n")) < 0:
            self._more()
        del self.buffer[: end + 2]
        return False

    def head(self) -> bytes:
        """Take a part's headers and the empty line after them."""
        while not self.buffer.startswith(b"\r\n") and b"\r\n\r\n" not in self.buffer:
            if len(self.buffer) > LONGEST_HEAD + CHUNK:
                raise Malformed("a part's headers do not end")
            self._more()
        if self.buffer.startswith(b"\r\n"):  # no headers
            del self.buffer[:2]
            return b""
        end = self.buffer.find(b"\r\n\r\n")
        head = bytes(self.buffer[:end])
        del self.buffer[: end + 4]
        return head

    def _ends_line(self, after: int) -> bool:
        """Say whether "--" or padding and a line's end follow a delimiter."""
        while True:
            rest = bytes(self.buffer[after : after + LONGEST_PADDING + 2])
            if rest.startswith(b"--"):
                return True
            tail = rest.lstrip(b" \t")
            if tail.startswith(b"\r\n"):
                return True
            if tail not in (b"", b"\r") and rest != b"-":
                return False
            if len(rest) > LONGEST_PADDING:
                return False
            self._more()

    def _more(self) -> None:
        chunk = self.read(CHUNK)
        if not chunk:
            raise Malformed("the body ends within a part")
        self.buffer += chunk
