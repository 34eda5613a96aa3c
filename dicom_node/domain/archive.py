"""Values of the archive: spool, bucket, retention."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO, Literal, Protocol

from dicom_node.domain.work import StoredFile


class Spool(Protocol):
    """A file on its way into an archive: written piece by piece, then kept or dropped."""

    @property
    def size(self) -> int:
        """Bytes written so far."""

    @property
    def pending(self) -> int:
        """Bytes that take up room in the archive only when they are kept."""

    def write(self, pieces: Sequence[bytes | memoryview]) -> None:
        """Append; the pieces may be overwritten afterwards. Raises TryAgain."""

    def read_from(self, offset: int) -> BinaryIO:
        """Open what was written, from a place on; good until it is kept or dropped."""

    def keep(self, folder: str, suffix: str) -> StoredFile:
        """Store it durably under a key, as `Archive.put` does; raises TryAgain."""

    def drop(self) -> None:
        """Forget what was not kept; more than once is no error."""


class MemorySpool:
    """A spool in memory, for archives that need the whole content to store any of it."""

    def __init__(self, put: Callable[[Iterable[bytes], str, str], StoredFile]) -> None:
        self._put = put
        self._pieces: list[bytes] = []
        self.size = 0

    @property
    def pending(self) -> int:
        """Everything."""
        return self.size

    def write(self, pieces: Sequence[bytes | memoryview]) -> None:
        """Copy what came."""
        copied = b"".join(pieces)
        self._pieces.append(copied)
        self.size += len(copied)

    def read_from(self, offset: int) -> BinaryIO:
        """Open the joined pieces."""
        self._pieces = [b"".join(self._pieces)]
        file = BytesIO(self._pieces[0])
        file.seek(offset)
        return file

    def keep(self, folder: str, suffix: str) -> StoredFile:
        """Put it into the archive."""
        return self._put(self._pieces, folder, suffix)

    def drop(self) -> None:
        """Give the memory back."""
        self._pieces.clear()


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket of an S3 store, how to reach it, and the folder in it that is ours."""

    name: str
    prefix: str = ""
    endpoint: str = ""
    """"": Amazon's own, by region."""
    region: str = "us-east-1"
    credentials_file: str = ""
    """"": from the environment, or the machine's role."""
    ca_file: str = ""
    """Who signs the endpoint's certificate, besides the system's authorities; "": none."""

    @property
    def url(self) -> str:
        """The bucket in words, without anything secret."""
        return f"s3://{self.name}/{self.prefix}".rstrip("/")


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A file in the archive and the row that it belongs to."""

    row_id: int
    key: str


FileKind = Literal["instances", "objects"]
"""What was received, or what was made of it."""


class Retention(Protocol):
    """Finds what has been kept long enough, and forgets it.

    Every method is one transaction and raises TryAgain as the Ledger does.
    """

    def old_files(
        self, of: FileKind, before: float, dead_before: float, limit: int
    ) -> tuple[KeptFile, ...]:
        """List files stored before `before` on which no work is left to do.

        Those with a dead letter, which a person may still retry, only when they
        were stored before `dead_before`.
        """

    def forget_files(self, of: FileKind, row_ids: Sequence[int], now: float) -> None:
        """Note that the rows' files are gone."""

    def prune(self, before: float, limit: int) -> int:
        """Remove the rows of at most `limit` instances received before `before`.

        Only instances without files and without unfinished work; their jobs,
        findings, objects and deliveries go with them. Says how many instances.
        """

    def prune_alarms(self, before: float) -> int:
        """Remove alarms and unknown callers not seen since `before`."""

    def known_keys(self, keys: Collection[str]) -> set[str]:
        """Say which of the archive's keys still belong to a row."""
