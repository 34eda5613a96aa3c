"""The archive: durable files under keys made of their hash."""

import hashlib
import os
import shutil
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from dicom_node.domain.errors import Away, GiveUp, TryAgain
from dicom_node.domain.work import StoredFile
from dicom_node.process import crash_points
from dicom_node.storage.archive import orphans
from dicom_node.storage.archive.keys import key_of, require_name
from dicom_node.storage.archive.orphans import IDENTITY, SPOOL

_WORTH_A_THREAD = 1 << 20
"""Bytes; less is hashed sooner than a thread starts."""


class FileArchive:
    """An archive in a folder of one file system; safe for many processes.

    A file is written under a name of its own in the spool folder, flushed, and
    only then renamed to its key, so a key never shows a half-written file.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._durable: set[Path] = set()

    def put(self, chunks: Iterable[bytes], folder: str, suffix: str) -> StoredFile:
        """Store the joined chunks durably; see `domain.ports.Archive`."""
        with _passing_faults(Away):
            spooled = self._folder(self._root / SPOOL) / f"{uuid.uuid4().hex}.part"
            try:
                sha256, size = _write_new(spooled, chunks)
                crash_points.here("file written")
                key = key_of(folder, sha256, suffix)
                target = self._root / key
                spooled.rename(self._folder(target.parent) / target.name)
            except BaseException:
                spooled.unlink(missing_ok=True)
                raise
            crash_points.here("file renamed")
            _flush_folder(target.parent)
        return StoredFile(key, sha256, size)

    @contextmanager
    def opened(self, key: str) -> Iterator[Path]:
        """Give the path of a stored file; raises GiveUp when it is gone or was changed."""
        path = self._locate(key)
        with self._reading():
            try:
                with self._found(key, path).open("rb") as file:
                    require_name(hashlib.file_digest(file, "sha256").hexdigest(), key)
            except FileNotFoundError:
                self._require_folder()
                raise GiveUp(f"archive file {key} is gone") from None
        yield path

    def read(self, key: str) -> bytes:
        """Give the stored bytes; raises GiveUp when they are gone or were changed."""
        with self.opened(key) as path, self._reading():
            return path.read_bytes()

    def delete(self, key: str) -> None:
        """Forget the file; one that is gone already is no error."""
        with _passing_faults():
            self._locate(key).unlink(missing_ok=True)
            (self._root / orphans.ASIDE / key).unlink(missing_ok=True)

    def free_bytes(self) -> int:
        """Say how much room is left in the file system."""
        with _passing_faults():
            return shutil.disk_usage(self._folder(self._root)).free

    def tidy_spool(self, older_than_s: float, now: float) -> int:
        """Remove what crashed writers left, and what was set aside long ago."""
        with _passing_faults():
            removed = orphans.forget_aside(self._root, now)
            for left in (self._root / SPOOL).glob("*.part"):
                try:
                    if left.stat().st_mtime < now - older_than_s:
                        left.unlink()
                        removed += 1
                except FileNotFoundError:
                    continue  # renamed or removed meanwhile
        return removed

    def old_keys(self, before: float) -> Iterator[str]:
        """Give the keys of files stored before `before`; see `orphans`."""
        return orphans.old_keys(self._root, before)

    def set_aside(self, key: str, before: float) -> bool:
        """Set the file aside unless it was stored anew; see `orphans`."""
        return orphans.set_aside(self._root, key, before)

    def keys_aside(self) -> Iterator[str]:
        """Give the keys of files that are set aside; see `orphans`."""
        return orphans.keys_aside(self._root)

    def identity(self) -> str | None:
        """Give the word that `identify` kept."""
        with _passing_faults(Away):
            try:
                return (self._root / IDENTITY).read_text("ascii")
            except FileNotFoundError:
                return None

    def identify(self, identity: str) -> None:
        """Keep a word durably beside the folders."""
        with _passing_faults(Away):
            spooled = self._folder(self._root / SPOOL) / f"{uuid.uuid4().hex}.part"
            _write_new(spooled, (identity.encode("ascii"),))
            spooled.rename(self._root / IDENTITY)
            _flush_folder(self._root)

    def close(self) -> None:
        """Leave everything: all of it is durable."""

    def _require_folder(self) -> None:
        """Raise Away where nothing was ever stored, as in a share that is not mounted."""
        if not self._is_there():
            raise Away(f"archive folder {self._root} is empty or away: is it mounted?")

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Tell a file that cannot be read from a share that is away with all its files."""
        try:
            yield
        except OSError as error:
            kind = TryAgain if self._is_there() else Away
            raise kind(f"archive: {error.strerror or error}") from error

    def _is_there(self) -> bool:
        try:
            return (self._root / SPOOL).is_dir()
        except OSError:
            return False

    def _found(self, key: str, path: Path) -> Path:
        """Bring a file back that was set aside before a row came to know it."""
        if not path.is_file():
            orphans.bring_back(self._root, key)
        return path

    def _locate(self, key: str) -> Path:
        """Give the path that belongs to the key; raises GiveUp outside the root."""
        parts = PurePosixPath(key).parts
        if not parts or key.startswith("/") or ".." in parts or "\\" in key or "\0" in key:
            raise GiveUp(f"{key!r} is not a key of the archive")
        return self._root.joinpath(*parts)

    def _folder(self, folder: Path) -> Path:
        """Make the folder and see to it once that its own entry is durable.

        An existing folder proves nothing: its maker may not have flushed it yet.
        """
        if folder not in self._durable:
            if self._root in folder.parents or not folder.parent.is_dir():
                self._folder(folder.parent)
            folder.mkdir(exist_ok=True)
            _flush_folder(folder.parent)
            self._durable.add(folder)
        return folder


@contextmanager
def _passing_faults(kind: type[TryAgain] = TryAgain) -> Iterator[None]:
    """Turn a fault of the file system (disk full, gone) into one that passes."""
    try:
        yield
    except OSError as error:
        raise kind(f"archive: {error.strerror or error}") from error


def _write_new(path: Path, chunks: Iterable[bytes]) -> tuple[str, int]:
    """Write and flush a new file; give its SHA-256 (hex) and size."""
    kept = tuple(chunks)
    sha256 = _start_hashing(kept)  # takes as long as the disk, so both run at once
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
    with open(descriptor, "wb", buffering=0) as file:  # noqa: PTH123 - a descriptor, not a path
        for chunk in kept:
            rest = memoryview(chunk)
            while rest:  # a raw write may be partial
                rest = rest[file.write(rest) :]
        os.fsync(descriptor)
    return sha256(), sum(map(len, kept))


def _start_hashing(chunks: tuple[bytes, ...]) -> Callable[[], str]:
    """Hash on a thread of its own if that pays; the result waits for it."""
    digest = hashlib.sha256()

    def update() -> None:
        for chunk in chunks:
            digest.update(chunk)

    if sum(map(len, chunks)) < _WORTH_A_THREAD:
        update()
        return digest.hexdigest
    thread = threading.Thread(target=update, name="sha256", daemon=True)
    thread.start()

    def wait() -> str:
        thread.join()
        return digest.hexdigest()

    return wait


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
