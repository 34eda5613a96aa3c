"""The Pixel Data element: find it, take what the image needs."""

import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import SEEK_END, BytesIO
from pathlib import Path
from typing import BinaryIO

from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from dicom_node.domain.errors import NotAnalysable
from dicom_node.formats.dicom.parsing import ReadLimitedFile

FLOAT_PIXEL_DATA = 0x7FE00008
PIXEL_DATA = 0x7FE00010
UNDEFINED_LENGTH = 0xFFFFFFFF
ITEM = b"\xfe\xff\x00\xe0"
SEQUENCE_DELIMITER = b"\xfe\xff\xdd\xe0"
LARGEST_HEADER = 64 << 20
"""Bytes before the pixels; a deflated data set that has more is a bomb."""


@dataclass(frozen=True, slots=True)
class PixelElement:
    """Where the value of Pixel Data (7FE0,0010) lies in `stream`."""

    stream: BinaryIO
    start: int
    length: int
    """As declared; UNDEFINED_LENGTH for encapsulated pixels."""
    end: int
    """Of the stream."""
    vr: str
    """Empty where the VR is implicit."""
    little_endian: bool


@contextmanager
def open_pixels(path: Path, transfer_syntax_uid: str, largest: int) -> Iterator[PixelElement]:
    """Open a stored file at its Pixel Data; nothing of the value is read yet.

    `largest` bytes of pixels are inflated at most. Raises NotAnalysable when
    there is no Pixel Data.
    """
    with path.open("rb") as file:
        _skip_file_meta(file)
        stream: BinaryIO = file
        if transfer_syntax_uid == DeflatedExplicitVRLittleEndian:
            stream = BytesIO(_inflate(file.read(), LARGEST_HEADER + largest))
        yield _find(stream, transfer_syntax_uid)


def _skip_file_meta(file: BinaryIO) -> None:
    file.seek(132 if file.read(132)[128:] == b"DICM" else 0)
    _parse_until(file, implicit=False, little=True, stop=lambda tag: tag >> 16 != 2)


def _inflate(content: bytes, limit: int) -> bytes:
    """Inflate (PS3.5 A.5) up to `limit`; what is cut is found by its length."""
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(content, limit)
    except zlib.error as error:
        raise NotAnalysable("deflated data set is damaged") from error


def _find(stream: BinaryIO, syntax: str) -> PixelElement:
    little = syntax != ExplicitVRBigEndian
    implicit = syntax == ImplicitVRLittleEndian
    found = _parse_until(stream, implicit, little, stop=lambda tag: tag >= FLOAT_PIXEL_DATA)
    if found is None or found[0] != PIXEL_DATA:
        raise NotAnalysable("no pixel data")
    _, vr, length = found
    # PS3.5 7.1: tag, VR and 2 or 4 bytes of length
    start = stream.tell() + (12 if vr in EXPLICIT_VR_LENGTH_32 else 8)
    return PixelElement(stream, start, length, stream.seek(0, SEEK_END), vr or "", little)


def _parse_until(
    stream: BinaryIO, implicit: bool, little: bool, stop: Callable[[int], bool]
) -> tuple[int, str | None, int] | None:
    """Leave the stream at the first element that `stop` wants; describe it."""
    found: list[tuple[int, str | None, int]] = []

    def stop_when(tag: BaseTag, vr: str | None, length: int) -> bool:
        if stop(tag):
            found.append((int(tag), vr, length))
        return bool(found)

    try:
        read_dataset(ReadLimitedFile(stream).binary, implicit, little, stop_when=stop_when)
    except (OSError, MemoryError):
        raise  # a passing fault of this machine, not of the file
    except Exception as error:
        # pydicom raises anything on damaged bytes
        raise NotAnalysable(f"data set cannot be decoded ({type(error).__name__})") from error
    return found[0] if found else None


def native_bytes(element: PixelElement, needed: int) -> tuple[bytes, bool]:
    """Read uncompressed pixels; say whether more bytes than needed follow."""
    if element.length == UNDEFINED_LENGTH:
        raise NotAnalysable("encapsulated pixel data in an uncompressed transfer syntax")
    there = min(element.length, element.end - element.start)
    if there < needed or there < element.length:
        missing = max(needed, element.length) - there
        raise NotAnalysable(f"truncated pixel data: {missing} bytes are missing")
    if there >= 2 * needed:
        # another frame, or pixels of another size than the header says
        raise NotAnalysable("pixel data of more than one frame")
    element.stream.seek(element.start)
    return element.stream.read(needed), there > needed + needed % 2


def encapsulated_bytes(element: PixelElement, largest: int) -> bytes:
    """Join the fragments of the only frame (PS3.5 A.4).

    The offset table is not looked at: with one frame it can only be right or lie.
    """
    defined = element.length != UNDEFINED_LENGTH
    end = min(element.end, element.start + element.length) if defined else element.end
    position, fragments, total = element.start, list[bytes](), 0
    while not (defined and position == end):
        element.stream.seek(position)
        head = element.stream.read(8)
        length = int.from_bytes(head[4:], "little")
        if head[:4] == SEQUENCE_DELIMITER and not defined:
            break
        if len(head) == 8 and head[:4] != ITEM:
            raise NotAnalysable("pixel data is not encapsulated as its transfer syntax says")
        position += 8 + length
        total += length
        if len(head) < 8 or position > end:
            raise NotAnalysable("truncated pixel data: a fragment is cut or missing")
        if total > largest:
            raise NotAnalysable("compressed pixel data larger than the image")
        fragments.append(element.stream.read(length))
    if not any(fragments[1:]):
        raise NotAnalysable("no pixel data: no fragment after the offset table")
    return b"".join(fragments[1:])
