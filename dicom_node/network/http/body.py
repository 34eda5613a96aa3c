"""Reading a request from its socket, within limits of time and size."""

import io
import socket
import time

from dicom_node.network.http.multipart import Malformed, Read, TooLarge

SLOWEST_CALLER = 50_000
"""Bytes per second below which a transfer counts as stuck."""
LONGEST_LINE = 1024


class TimedSocket(io.RawIOBase):
    """The bytes of a connection, as long as they keep coming.

    A wait ends after `idle_s`, and all together after what `allow` gave and the
    time that the bytes take at the slowest pace: one byte now and then is no life.
    """

    def __init__(self, connection: socket.socket, idle_s: float) -> None:
        self._connection = connection
        self._idle_s = idle_s
        self._deadline = 0.0
        self._grows = True

    def allow(self, limit_s: float, *, grows: bool = True) -> None:
        """Give so many seconds from now; `grows` adds the time of the bytes."""
        self._deadline = time.monotonic() + limit_s
        self._grows = grows

    def extend(self, more_s: float) -> None:
        """Give so many seconds more."""
        self._deadline += more_s

    def readable(self) -> bool:
        """Say yes."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override] # RawIOBase says object
        """Read what is there; raises TimeoutError."""
        left_s = self._deadline - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("the caller is too slow")
        self._connection.settimeout(min(left_s, self._idle_s))
        count = self._connection.recv_into(buffer)
        if self._grows:
            self._deadline += count / SLOWEST_CALLER
        return count


class Body:
    """A request's content; `ended` once it was read to its end."""

    def __init__(self, read: Read, largest: int) -> None:
        self._read = read
        self._left = largest
        self.ended = False

    def read(self, size: int) -> bytes:
        """Give up to so many bytes, none at the end; raises TooLarge, Malformed."""
        content = self._read(size)
        self._left -= len(content)
        if self._left < 0:
            raise TooLarge
        self.ended = not content
        return content


def sized(file: io.BufferedIOBase, length: int) -> Read:
    """Read content of a known length; raises Malformed when it ends early."""
    left = length

    def read(size: int) -> bytes:
        nonlocal left
        content = file.read1(min(size, left)) if left else b""
        if left and not content:
            raise Malformed("the body is shorter than its Content-Length")
        left -= len(content)
        return content

    return read


def chunked(file: io.BufferedIOBase) -> Read:
    """Read content in chunks (RFC 9112 7.1); raises Malformed."""
    left, over = 0, False

    def read(size: int) -> bytes:
        nonlocal left, over
        if over:
            return b""
        if not left:
            left = _chunk_size(file)
            if not left:
                over = True
                while _line(file):  # trailers say nothing to us
                    pass
                return b""
        content = file.read1(min(size, left))
        if not content:
            raise Malformed("the body ends within a chunk")
        left -= len(content)
        if not left and _line(file):
            raise Malformed("a chunk is longer than it says")
        return content

    return read


def _chunk_size(file: io.BufferedIOBase) -> int:
    digits = _line(file).partition(b";")[0].strip()
    if not digits or len(digits) > 15 or digits.strip(b"0123456789abcdefABCDEF"):
        raise Malformed("a chunk's size is no number")
    return int(digits, 16)


def _line(file: io.BufferedIOBase) -> bytes:
    line = file.readline(LONGEST_LINE)
    if not line.endswith(b"\n"):
        raise Malformed("a chunk's line does not end")
    return line.rstrip(b"\r\n")


def discard(read: Read) -> None:
    """Read to the end; the limits of `read` bound it."""
    while read(1 << 16):
        pass
