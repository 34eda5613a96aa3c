"""Where an archive outside this machine is."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol


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
