"""A file that grows in the spool folder, hashed on its way."""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from dicom_node.domain.errors import Away, TryAgain
from dicom_node.domain.work import StoredFile

MOST_PIECES = 512
"""Pieces in one call; the system takes no more than 1024 (IOV_MAX)."""


Settle = Callable[[Path, str, str, str], str]
"""Rename a flushed file durably by its SHA-256 (hex), folder and suffix; give the key."""


class FileSpool:
    """A new file of an archive's own file system; `domain.archive.Spool`."""

    def __init__(self, path: Path, settle: Settle) -> None:
        """Make the file; raises Away."""
        self._path, self._settle = path, settle
        self._sha256 = hashlib.sha256()
        self.size = 0
        self.pending = 0
        self._kept = False
        with passing_faults():
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o640)

    def write(self, pieces: Sequence[bytes | memoryview]) -> None:
        """Append; raises Away."""
        for piece in pieces:
            self._sha256.update(piece)
        with passing_faults():
            for start in range(0, len(pieces), MOST_PIECES):
                self._append(pieces[start : start + MOST_PIECES])

    def _append(self, pieces: Sequence[bytes | memoryview]) -> None:
        size = sum(map(len, pieces))
        written = os.writev(self._descriptor, pieces)
        if written < size:  # the disk is nearly full, or the call was interrupted
            rest = memoryview(b"".join(pieces))[written:]
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        self.size += size

    def read_from(self, offset: int) -> BinaryIO:
        """Open what was written, from a place on."""
        os.lseek(self._descriptor, offset, os.SEEK_SET)
        return open(self._descriptor, "rb", closefd=False)

    def keep(self, folder: str, suffix: str) -> StoredFile:
        """Flush the file and give it its key; raises Away."""
        with passing_faults():
            os.fdatasync(self._descriptor)
            sha256 = self._sha256.hexdigest()
            key = self._settle(self._path, sha256, folder, suffix)
        self._kept = True
        return StoredFile(key, sha256, self.size)

    def drop(self) -> None:
        """Close the file; remove it unless it was kept."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            if not self._kept:
                self._path.unlink(missing_ok=True)


@contextmanager
def passing_faults(kind: type[TryAgain] = Away) -> Iterator[None]:
    """Turn a fault of the file system (disk full, gone) into one that passes."""
    try:
        yield
    except OSError as error:
        raise kind(f"archive: {error.strerror or error}") from error
