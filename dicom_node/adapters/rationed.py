"""A file that pydicom may read only so often."""

from io import SEEK_SET, BufferedIOBase
from typing import BinaryIO, cast

MOST_READS = 50_000
"""An element needs two or three; headers of radiographs have hundreds of elements."""


class TooManyElements(Exception):
    """A header has more elements than any radiograph needs."""


class Rationed(BufferedIOBase):
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
