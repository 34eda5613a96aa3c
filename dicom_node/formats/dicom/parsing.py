"""Parsing: DICOM bytes to a data set, up to the pixels."""

import threading
import warnings
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import SEEK_END, SEEK_SET, BufferedIOBase, BytesIO
from typing import BinaryIO, cast

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from dicom_node.domain.errors import NotAnalysable

PIXEL_TAGS = (0x7FE00008, 0x7FE00009, 0x7FE00010)
LARGEST_INFLATED_HEADER = 64 << 20
"""Bytes; a deflated data set that grows beyond it without pixels is a bomb."""
LARGEST_META = 1 << 16
"""Bytes of an element of group 0002 that is looked at."""
_FIRST_INFLATED = 1 << 20
_DEFLATED_PIECE = 1 << 16
_INFLATING = threading.Lock()
"""One large header at a time: many callers with a bomb each need the memory of one."""
UNDEFINED_LENGTH = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class ElementHead:
    """An element's tag, VR ("" where it is implicit) and length, and where it begins."""

    tag: int
    vr: str
    length: int
    """As declared; UNDEFINED_LENGTH where a delimiter ends the element."""
    position: int
    """In the file; of a deflated data set, in what is inflated."""


def read_file_meta(file: BinaryIO) -> FileMetaDataset:
    """Read group 0002 (PS3.10 7.1), empty if there is none; stay at the data set."""
    start = 132 if file.read(132)[128:] == b"DICM" else 0
    file.seek(start)
    meta = _guarded(file, implicit=False, little=True, stop=lambda tag: tag >> 16 != 2)[0]
    if not meta:
        file.seek(start)
    return FileMetaDataset(dict(_convertible(meta)))


def _convertible(meta: Dataset) -> Iterator[tuple[BaseTag, DataElement]]:
    """Give the elements whose values pydicom understands; the rest is as good as missing."""
    for tag in meta.keys():  # noqa: SIM118 - iterating a Dataset would convert its values
        raw: DataElement | RawDataElement | None = meta.get_item(tag, keep_deferred=True)
        if isinstance(raw, RawDataElement) and (raw.VR == "SQ" or raw.length > LARGEST_META):
            continue  # none of ours, and perhaps without end
        try:
            yield tag, meta[tag]
        except Exception:  # noqa: BLE001, S112 - pydicom raises anything # nosec B112
            continue


def guess_syntax(file: BinaryIO) -> str:
    """Guess the native transfer syntax from a data set's first element."""
    start = file.tell()
    head = file.read(6)
    file.seek(start)
    if not (head[4:6].isalpha() and head[4:6].isupper()):
        return ImplicitVRLittleEndian
    # group 0008 read in the wrong byte order is 0800
    return ExplicitVRBigEndian if head[:1] == b"\0" else ExplicitVRLittleEndian


def parse_file(file: BinaryIO, syntax: str) -> Dataset:
    """Parse from the current position up to the pixels; raises NotAnalysable."""
    return parse_to_pixels(file, syntax)[0]


def parse_to_pixels(file: BinaryIO, syntax: str) -> tuple[Dataset, ElementHead | None]:
    """Parse as `parse_file` does, and say where the pixels are, if there are any."""
    if syntax == DeflatedExplicitVRLittleEndian:
        return _parse_deflated(file)
    implicit = syntax == ImplicitVRLittleEndian
    little = syntax != ExplicitVRBigEndian
    start = file.tell()
    ds, pixels = _guarded(file, implicit, little, stop=lambda tag: tag in PIXEL_TAGS)
    if pixels is None:
        _refuse_truncation(ds, file, start)
    return ds, pixels


def _parse_deflated(file: BinaryIO) -> tuple[Dataset, ElementHead | None]:
    """Inflate no more than the header needs."""
    start = file.tell()
    try:
        first = inflate(file, _FIRST_INFLATED)
        return parse_to_pixels(BytesIO(first), ExplicitVRLittleEndian)
    except NotAnalysable:
        file.seek(start)
        with _INFLATING:
            largest = inflate(file, LARGEST_INFLATED_HEADER)
            return parse_to_pixels(BytesIO(largest), ExplicitVRLittleEndian)


def inflate(file: BinaryIO, limit: int) -> bytes:
    """Inflate (PS3.5 A.5) from the current position on, `limit` bytes at most."""
    inflating, inflated = zlib.decompressobj(-zlib.MAX_WBITS), bytearray()
    try:
        while len(inflated) < limit and (piece := file.read(_DEFLATED_PIECE)):
            inflated += inflating.decompress(piece, limit - len(inflated))
    except zlib.error as error:
        raise NotAnalysable("deflated data set cannot be inflated") from error
    return bytes(inflated)


def _guarded(
    file: BinaryIO, implicit: bool, little: bool, stop: Callable[[int], bool]
) -> tuple[Dataset, ElementHead | None]:
    """Parse with pydicom; give the element at which `stop` ended it."""
    stopped: list[tuple[int, str, int]] = []

    def stop_when(tag: BaseTag, vr: str | None, length: int) -> bool:
        if stop(tag):
            stopped.append((int(tag), vr or "", length))
        return bool(stopped)

    # pydicom warns about a character set that it does not know
    warnings.filterwarnings("ignore", module=r"pydicom\.")
    ration = ReadLimitedFile(file)
    try:
        ds = read_dataset(ration.binary, implicit, little, stop_when=stop_when)
    except Exception as error:
        if ration.is_spent:
            raise NotAnalysable("too many elements in the header") from error
        # pydicom raises anything on damaged bytes, RecursionError on deep nesting
        raise NotAnalysable(f"data set cannot be decoded ({type(error).__name__})") from error
    return ds, ElementHead(*stopped[0], file.tell()) if stopped else None


def _refuse_truncation(ds: Dataset, file: BinaryIO, start: int) -> None:
    """Refuse a data set whose last element is cut, or that ended too early.

    pydicom stops without a word at the end of the file and at a stray delimiter.
    """
    size = file.seek(0, SEEK_END)
    end = max((_end_of(ds.get_item(tag, keep_deferred=True)) for tag in ds.keys()), default=start)  # noqa: SIM118 - iterating a Dataset would convert its values
    if end > size:
        raise NotAnalysable("data set is truncated")
    file.seek(end)
    if end < size and file.read(8).strip(b"\0"):
        raise NotAnalysable("data set cannot be decoded (stray bytes)")


def _end_of(element: DataElement | RawDataElement | None) -> int:
    if isinstance(element, RawDataElement) and element.length != UNDEFINED_LENGTH:
        return element.value_tell + element.length
    return 0


MOST_READS = 50_000
"""An element needs two or three; headers of radiographs have hundreds of elements."""


class TooManyElements(Exception):
    """A header has more elements than any radiograph needs."""


class ReadLimitedFile(BufferedIOBase):
    """Reads from a file until the ration is spent.

    An empty item of eight bytes costs pydicom a kilobyte and 50 µs: a header of nothing
    else would take the node's memory, and minutes.
    """

    def __init__(self, file: BinaryIO, reads: int = MOST_READS) -> None:
        super().__init__()
        self._file = file
        self._left = reads

    @property
    def is_spent(self) -> bool:
        """Whether more was asked for; pydicom may hide the error."""
        return self._left < 0

    def read(self, size: int | None = -1) -> bytes:
        """Read; raises TooManyElements."""
        self._left -= 1
        if self._left < 0:
            raise TooManyElements
        return self._file.read(-1 if size is None else size)

    def seek(self, offset: int, whence: int = SEEK_SET) -> int:
        """Go to a place."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Give the place."""
        return self._file.tell()

    @property
    def binary(self) -> BinaryIO:
        """Itself, by the name of its type that pydicom asks for."""
        return cast(BinaryIO, self)
