"""An archive whose files are encrypted at rest, over any other archive.

A file's name is the SHA-256 of what is stored, which the archive below checks;
what `put` answers is of the plain content, by which duplicates are found.
"""

import hashlib
import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dicom_node.domain.archive import MemorySpool
from dicom_node.domain.errors import BadSettings, GiveUp, TryAgain
from dicom_node.domain.pipeline import Archive
from dicom_node.domain.work import StoredFile
from dicom_node.storage.archive.room import Room
from dicom_node.storage.archive.sealing import Keys, is_sealed, seal, unseal


class SealedArchive:
    """Seals what is put, and gives plain copies of what is opened.

    Files from before the archive was sealed stay readable.
    """

    def __init__(self, inner: Archive, keys: Keys, register: Path, room: Room) -> None:
        self._inner, self._keys = inner, keys
        self._register, self._registered = register, False
        self._room = room

    def put(self, chunks: Iterable[bytes], folder: str, suffix: str) -> StoredFile:
        """Store the joined chunks durably and sealed; see `domain.pipeline.Archive`."""
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

    @contextmanager
    def opened(self, key: str) -> Iterator[Path]:
        """Give a plain copy in memory, which is gone when the block ends."""
        with self._inner.opened(key) as stored:
            copy = self._copied(key, stored)
            try:
                yield copy or stored
            finally:
                if copy is not None:
                    copy.unlink(missing_ok=True)

    def read(self, key: str) -> bytes:
        """Give the plain bytes; raises GiveUp when they are gone or were changed."""
        stored = self._inner.read(key)
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

    def set_aside(self, key: str, before: float) -> bool:
        """Set the file aside if it is still the old one."""
        return self._inner.set_aside(key, before)

    def keys_aside(self) -> Iterator[str]:
        """Give the keys of files that are set aside."""
        return self._inner.keys_aside()

    def identity(self) -> str | None:
        """Give the word by which the database knows the archive."""
        return self._inner.identity()

    def identify(self, identity: str) -> None:
        """Keep such a word, in plain: it says nothing of a patient."""
        self._inner.identify(identity)

    def close(self) -> None:
        """Remove all plain copies of this process."""
        self._room.close()

    def _copied(self, key: str, stored: Path) -> Path | None:
        """Copy a sealed file in plain; None for one from before the archive was sealed."""
        try:
            with stored.open("rb") as file:
                return self._room.write(unseal(file, self._keys)) if is_sealed(file) else None
        except FileNotFoundError:
            raise GiveUp(f"archive file {key} is gone") from None
        except OSError as error:
            raise TryAgain(f"archive: {error.strerror or error}") from error


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
