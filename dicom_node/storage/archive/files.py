"""The archive: durable files under keys made of their hash."""

import hashlib
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from dicom_node.domain.errors import Away, GiveUp, TryAgain
from dicom_node.domain.work import StoredFile
from dicom_node.process import crash_points
from dicom_node.storage.archive import orphans
from dicom_node.storage.archive.keys import key_of, require_name
from dicom_node.storage.archive.orphans import IDENTITY, SPOOL
from dicom_node.storage.archive.spool import FileSpool, Settle, passing_faults


class FileArchive:
    """An archive in a folder of one file system; safe for many processes.

    A file is written under a name of its own in the spool folder, flushed, and
    only then renamed to its key, so a key never shows a half-written file.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._durable: set[Path] = set()

    def put(self, chunks: Iterable[bytes], folder: str, suffix: str) -> StoredFile:
        """Store the joined chunks durably; see `domain.pipeline.Archive`."""
        spool = self.spool()
        try:
            with passing_faults():  # making the chunks may fail too
                for chunk in chunks:
                    spool.write((chunk,))
            return spool.keep(folder, suffix)
        finally:
            spool.drop()

    def spool(self) -> FileSpool:
        """Begin a file; raises Away."""
        return self._begin(self._settle)

    def _begin(self, settle: Settle) -> FileSpool:
        with passing_faults():
            spool_folder = self._folder(self._root / SPOOL)
        return FileSpool(spool_folder / f"{uuid.uuid4().hex}.part", settle)

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
        with passing_faults(TryAgain):
            self._locate(key).unlink(missing_ok=True)
            (self._root / orphans.ASIDE / key).unlink(missing_ok=True)

    def free_bytes(self) -> int:
        """Say how much room is left in the file system."""
        with passing_faults(TryAgain):
            return shutil.disk_usage(self._folder(self._root)).free

    def tidy_spool(self, older_than_s: float, now: float) -> int:
        """Remove what crashed writers left, and what was set aside long ago."""
        with passing_faults(TryAgain):
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
        with passing_faults():
            try:
                return (self._root / IDENTITY).read_text("ascii")
            except FileNotFoundError:
                return None

    def identify(self, identity: str) -> None:
        """Keep a word durably beside the folders."""
        spool = self._begin(self._settle_identity)
        try:
            spool.write((identity.encode("ascii"),))
            spool.keep("", "")
        finally:
            spool.drop()

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

    def _settle(self, spooled: Path, sha256: str, folder: str, suffix: str) -> str:
        """Rename a flushed file to its key, so that the name survives a power loss."""
        crash_points.here("file written")
        key = key_of(folder, sha256, suffix)
        target = self._root / key
        spooled.rename(self._folder(target.parent) / target.name)
        crash_points.here("file renamed")
        _flush_folder(target.parent)
        return key

    def _settle_identity(self, spooled: Path, *_: str) -> str:
        spooled.rename(self._root / IDENTITY)
        _flush_folder(self._root)
        return IDENTITY

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


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
