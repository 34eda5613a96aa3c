"""Where plain copies of sealed files lie while they are read."""

import contextlib
import fcntl
import os
import shutil
import tempfile
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

from dicom_node.domain.errors import TryAgain

MEMORY = Path("/dev/shm")  # noqa: S108 - the folder made in it is private # nosec B108
"""A file system in memory; without one, the folder for temporary files."""
LOCK = "lock"


class Room:
    """A private folder of this process, in memory where there is such a file system.

    The process holds a lock in it as long as it lives: by that others tell what a
    dead one left.
    """

    def __init__(self, parent: Path | None = None) -> None:
        base = parent or (MEMORY if MEMORY.is_dir() else Path(tempfile.gettempdir()))
        self._site = base / f"dicom-node-{os.getuid()}"
        self._folder: Path | None = None
        self._lock = -1
        self._mutex = threading.Lock()

    def write(self, content: Iterator[bytes]) -> Path:
        """Write a copy under a name of its own; raises TryAgain and what `content` raises."""
        try:
            path = self._opened() / uuid.uuid4().hex
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor, not a path
                    file.writelines(content)
            except BaseException:
                path.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise TryAgain(f"{self._site}: no plain copy can be made: {error.strerror}") from error
        return path

    def sweep(self) -> int:
        """Remove the folders of dead processes; say how many."""
        removed = 0
        with contextlib.suppress(FileNotFoundError):
            for folder in list(self._site.iterdir()):
                if folder != self._folder and _is_left(folder):
                    shutil.rmtree(folder, ignore_errors=True)
                    removed += 1
        return removed

    def close(self) -> None:
        """Remove all copies."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            os.close(self._lock)
            self._folder = None

    def _opened(self) -> Path:
        """Make the folder when it is first needed; refuses one of another user."""
        with self._mutex:  # one for all threads: a second one would outlive `close`
            if self._folder is None:
                self._folder = self._made()
            return self._folder

    def _made(self) -> Path:
        self._site.mkdir(mode=0o700, exist_ok=True)
        status = self._site.lstat()
        if status.st_uid != os.getuid() or status.st_mode & 0o077 or self._site.is_symlink():
            raise PermissionError(1, "the folder is not private")
        self.sweep()
        folder = self._site / uuid.uuid4().hex
        making = self._site / f".{folder.name}"  # it shows when the lock is held
        making.mkdir(mode=0o700)
        self._lock = os.open(making / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        making.rename(folder)
        return folder


def _is_left(folder: Path) -> bool:
    """Say whether the process that made the folder is gone."""
    try:
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False  # just being made or removed
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True
