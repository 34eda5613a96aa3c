"""Local copies of files that an archive keeps elsewhere."""

import hashlib
import os
import stat
import time
import uuid
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from dicom_node.domain.errors import Away
from dicom_node.storage.archive.keys import digest_of

IN_USE_S = 900.0
"""A copy asked for so lately may still be read; it stays, even above the limit."""
STALE_S = 86_400.0
"""A copy unused for so long goes; another host may have deleted the file itself."""


class FileCache:
    """A private folder of copies, the longest unused of which go first.

    Safe for many processes. A copy is no promise: it is checked by the hash in its
    name whenever it is asked for, for nothing flushes it to the disk.
    """

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self._folder = folder
        self._limit = limit_bytes
        self._unweighed: int | None = None  # bytes added since the last look; None: no look yet

    def find(self, key: str) -> Path | None:
        """Give the copy's path, or None where there is no sound one."""
        path = self._folder / PurePosixPath(key).name
        try:
            with path.open("rb") as file:
                sound = hashlib.file_digest(file, "sha256").hexdigest() == digest_of(key)
            if sound:
                os.utime(path)
                return path
            path.unlink(missing_ok=True)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise Away(f"archive cache: {error.strerror or error}") from error
        return None

    def add(self, key: str, chunks: Iterable[bytes]) -> Path:
        """Keep a copy and give its path; raises Away when the disk refuses."""
        path = self._folder / PurePosixPath(key).name
        part = self._folder / f".{uuid.uuid4().hex}.part"
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor, not a path
                    file.writelines(chunks)
                    size = file.tell()
                part.rename(path)
            except BaseException:
                part.unlink(missing_ok=True)
                raise
            self._weigh(size)
        except OSError as error:
            raise Away(f"archive cache: {error.strerror or error}") from error
        return path

    def forget(self, key: str) -> None:
        """Remove the copy, if there is one."""
        (self._folder / PurePosixPath(key).name).unlink(missing_ok=True)

    def trim(self, now: float) -> int:
        """Remove what is stale, then what is longest unused; say how many files."""
        found = sorted(_copies(self._folder))
        total = sum(size for _, size, _ in found)
        removed = 0
        for used_at, size, path in found:
            stale = used_at < now - STALE_S
            if stale or (total > self._limit and used_at < now - IN_USE_S):
                path.unlink(missing_ok=True)
                total -= size
                removed += 1
        return removed

    def _weigh(self, size: int) -> None:
        """Look at the whole folder only now and then: it may hold many small files."""
        if self._unweighed is None or self._unweighed + size > self._limit // 20:
            self._unweighed = 0
            self.trim(time.time())
        else:
            self._unweighed += size


def _copies(folder: Path) -> Iterable[tuple[float, int, Path]]:
    """Give time of last use, size and path of each copy."""
    if not folder.is_dir():
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue  # another process was faster
            if stat.S_ISREG(status.st_mode):
                yield status.st_mtime, status.st_size, Path(entry.path)
