"""The Pixel Data element: find it, take what the image needs."""

from dataclasses import dataclass
from io import SEEK_END, BytesIO
from typing import BinaryIO

from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from dicom_node.domain.errors import NotAnalysable
from dicom_node.formats.dicom.parsing import (
    UNDEFINED_LENGTH,
    ElementHead,
    inflate,
    read_file_meta,
)

PIXEL_DATA = 0x7FE00010
ITEM = b"\xfe\xff\x00\xe0"
SEQUENCE_DELIMITER = b"\xfe\xff\xdd\xe0"


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


def pixel_element(
    file: BinaryIO, head: ElementHead | None, syntax: str, largest: int
) -> PixelElement:
    """Find the value of Pixel Data in an open file whose header was read; reads none of it.

    `largest` bytes of pixels are inflated at most. Raises NotAnalysable when
    there is no Pixel Data.
    """
    if head is None or head.tag != PIXEL_DATA:
        raise NotAnalysable("no pixel data")
    # PS3.5 7.1: tag, VR and 2 or 4 bytes of length
    start = head.position + (12 if head.vr in EXPLICIT_VR_LENGTH_32 else 8)
    stream = file
    if syntax == DeflatedExplicitVRLittleEndian:
        file.seek(0)
        read_file_meta(file)
        stream = BytesIO(inflate(file, start + largest))
    end = stream.seek(0, SEEK_END)
    little = syntax != ExplicitVRBigEndian
    return PixelElement(stream, start, head.length, end, head.vr, little)


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
