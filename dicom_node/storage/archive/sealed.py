"""An archive whose files are encrypted at rest, over any other archive.

A file's name is the SHA-256 of what is stored, so a file put in another's place shows;
what `put` answers is of the plain content, by which duplicates are found.
"""

import hashlib
import io
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from dicom_node.domain.archive import MemorySpool
from dicom_node.domain.errors import BadSettings, GiveUp, TryAgain
from dicom_node.domain.pipeline import Archive
from dicom_node.domain.work import StoredFile
from dicom_node.storage.archive.keys import digest_of
from dicom_node.storage.archive.room import Room
from dicom_node.storage.archive.sealing import Keys, is_sealed, seal, unseal


class SealedArchive:
    """Seals what is put, and lends plain copies of what is asked for.

    Files from before the archive was sealed stay readable.
    """

    def __init__(self, inner: Archive, keys: Keys, register: Path, room: Room) -> None:
        self._inner, self._keys = inner, keys
        self._register, self._registered = register, False
        self._room = room
        self._lock = threading.Lock()
        self._lent: dict[Path, int] = {}

    def put(self, chunks: Iterable[bytes], folder: str, suffix: str) -> StoredFile:
        """Store the joined chunks durably and sealed; see `domain.ports.Archive`."""
        kept = tuple(chunks)
        digest = hashlib.sha256()
        for chunk in kept:
            digest.update(chunk)
        sha256, size = digest.hexdigest(), sum(map(len, kept))
        stored = self._inner.put(seal(kept, sha256, size, self._keys), folder, suffix)
        if not self._registered:
            register_key(self._register, self._keys.first)
            self._registered = True
        return StoredFile(stored.key, sha256, size)

    def spool(self) -> MemorySpool:
        """Begin a file in memory: how it is sealed depends on all of its content."""
        return MemorySpool(self.put)

    def path(self, key: str) -> Path:
        """Lend a plain copy in memory, to be given back by `release`."""
        stored = self._inner.path(key)
        try:
            with stored.open("rb") as file:
                sealed = is_sealed(file)
                _require_name(hashlib.file_digest(file, "sha256").hexdigest(), key)
                if not sealed:
                    return stored
                file.seek(0)
                return self._lend(key, unseal(file, self._keys))
        except FileNotFoundError:
            raise GiveUp(f"archive file {key} is gone") from None
        except OSError as error:
            raise TryAgain(f"archive: {error.strerror or error}") from error

    def release(self, path: Path) -> None:
        """Take back what `path` lent: the copy goes when nobody else has it."""
        with self._lock:
            left = self._lent.get(path, 0) - 1
            if left > 0:
                self._lent[path] = left
            elif left == 0:
                del self._lent[path]
                path.unlink(missing_ok=True)

    def close(self) -> None:
        """Remove all plain copies of this process."""
        self._room.close()

    def read(self, key: str) -> bytes:
        """Give the plain bytes; raises GiveUp when they are gone or were changed."""
        stored = self._inner.read(key)
        _require_name(hashlib.sha256(stored).hexdigest(), key)
        file = io.BytesIO(stored)
        return b"".join(unseal(file, self._keys)) if is_sealed(file) else stored

    def delete(self, key: str) -> None:
        """Forget the file; one that is gone already is no error."""
        self._inner.delete(key)

    def free_bytes(self) -> int:
        """Say how much room is left."""
        return self._inner.free_bytes()

    def tidy_spool(self, older_than_s: float, now: float) -> int:
        """Remove what crashed writers left, and plain copies of dead processes."""
        return self._inner.tidy_spool(older_than_s, now) + self._room.sweep()

    def old_keys(self, before: float) -> Iterator[str]:
        """Give the keys of files stored before `before`."""
        return self._inner.old_keys(before)

    def delete_old(self, key: str, before: float) -> bool:
        """Remove the file if it is still the old one."""
        return self._inner.delete_old(key, before)

    def _lend(self, key: str, content: Iterator[bytes]) -> Path:
        """Write the copy under the key's own name, or lend the one that is there."""
        fresh = self._room.write(content)
        name = hashlib.sha256(key.encode()).hexdigest() + PurePosixPath(key).suffix
        path = fresh.with_name(name)
        with self._lock:
            if path in self._lent:
                fresh.unlink()
            else:
                fresh.rename(path)
            self._lent[path] = self._lent.get(path, 0) + 1
        return path


def _require_name(sha256: str, key: str) -> None:
    if digest_of(key) != sha256:
        raise GiveUp(f"archive file {key} does not hold what was stored under its name")


def register_key(register: Path, key_id: str) -> None:
    """Note that files are sealed with a key; raises TryAgain."""
    try:
        if key_id not in registered_keys(register):
            register.parent.mkdir(parents=True, exist_ok=True)  # beside an S3 store's copies
            with register.open("a") as file:
                file.write(f"{key_id}\n")
    except OSError as error:
        raise TryAgain(f"archive: {error.strerror or error}") from error


def registered_keys(register: Path) -> set[str]:
    """Give the identifiers of the keys that files are sealed with."""
    try:
        return set(register.read_text().split())
    except FileNotFoundError:
        return set()


def require_keys(register: Path, keys: Keys | None) -> None:
    """Refuse to start without a key that files are sealed with; raises BadSettings."""
    missing = sorted(registered_keys(register) - set(keys.by_id if keys else ()))
    if missing:
        raise BadSettings(
            f"archive.key_file lacks key {missing[0]}, with which files of the archive are sealed; "
            f"add it, or, when those files are gone, remove its line from {register}"
        )
