"""Ports: what the story asks of the outside world."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from dicom_node.domain.archive import Spool
from dicom_node.domain.findings import Findings, OperatingPoint, PointChoice
from dicom_node.domain.study import Radiograph
from dicom_node.domain.work import (
    Acknowledgement,
    Admission,
    Arrival,
    Claim,
    DeliveryBatch,
    DeliveryFailure,
    Failure,
    Outcome,
    Recorded,
    StoredFile,
)


@dataclass(frozen=True, slots=True)
class Check:
    """One line of `dicom-node check`: what was looked at and how it is."""

    name: str
    ok: bool
    words: str


class Pipeline(Protocol):
    """One reading task."""

    @property
    def name(self) -> str:
        """The name used in routes, for example "pneumothorax"."""

    @property
    def version(self) -> str:
        """The model's version from `model.toml`."""

    @property
    def device(self) -> str:
        """Where it computes, in words."""

    def read(self, radiograph: Radiograph) -> Findings:
        """Read one radiograph.

        Raises NotAnalysable where the pixels cannot be read by this task.
        """

    def verify(self) -> tuple[Check, ...]:
        """Check the weights' SHA-256 and the phantom constancy test."""


@runtime_checkable
class Adjustable(Protocol):
    """A pipeline that judges at the operating point that a route asks for."""

    def points_of(self, choice: PointChoice) -> Mapping[str, OperatingPoint]:
        """Give each finding's operating point; raises BadSettings where the model has none."""

    def read_at(
        self, radiograph: Radiograph, choices: tuple[PointChoice, ...]
    ) -> tuple[Findings, ...]:
        """Read once and judge at each choice; raises as `Pipeline.read`.

        Presence and what follows from it depend on the choice, the probability not.
        """


@runtime_checkable
class Batched(Protocol):
    """A pipeline that can run its network on several films at once."""

    def prefetch(self, radiographs: Sequence[Radiograph]) -> None:
        """Compute what `read` will need of these films; leaves out what it cannot read."""


class Archive(Protocol):
    """Durable files under keys that the archive chooses."""

    def put(self, chunks: Iterable[bytes], folder: str, suffix: str) -> StoredFile:
        """Store the joined chunks durably and return key, SHA-256 and size.

        On return the bytes, the name and the folder entry survive a power loss.
        The key is made of `folder`, the SHA-256 and `suffix`, so the same content
        stored twice is one file and no identifier of a sender becomes a file name.
        Raises TryAgain when the disk is full or the store is away.
        """

    def spool(self) -> Spool:
        """Begin a file whose content comes piece by piece; raises TryAgain."""

    def opened(self, key: str) -> AbstractContextManager[Path]:
        """Give a local path of the stored file, which holds until the block ends.

        Entering raises GiveUp when the file is gone, or is not what the key was made of.
        """

    def read(self, key: str) -> bytes:
        """Give the stored bytes; raises GiveUp as `opened`."""

    def delete(self, key: str) -> None:
        """Forget the file; one that is gone already is no error."""

    def free_bytes(self) -> int:
        """Say how much room is left."""

    def tidy_spool(self, older_than_s: float, now: float) -> int:
        """Remove what crashed writers left, and what was set aside long ago."""

    def old_keys(self, before: float) -> Iterator[str]:
        """Give the keys of files stored before `before` (POSIX seconds)."""

    def set_aside(self, key: str, before: float) -> bool:
        """Set the file aside if it is still the old one; say whether it was.

        Whoever reads it under its key brings it back; for others it is gone. The same
        content may be stored again at any moment: then it stays readable.
        """

    def keys_aside(self) -> Iterator[str]:
        """Give the keys of files that are set aside."""

    def identity(self) -> str | None:
        """Give the word by which its database knows it; raises Away."""

    def identify(self, identity: str) -> None:
        """Keep such a word durably; raises Away."""

    def close(self) -> None:
        """Remove what was kept for this process alone."""


class Ledger(Protocol):
    """The database: what arrived, what is to be done, what went out.

    A port though one class implements it, for the story may not know SQL. Every
    method is one transaction. Raises TryAgain when the database is away, locked or full.
    """

    def record(self, arrival: Arrival, admission: Admission) -> Recorded:
        """Write the instance and its jobs, or find that it is known.

        SAME: same SOP Instance UID, same content (SHA-256), study and patient;
        nothing is written. CONFLICT: same UID but other content or patient; the
        first stays, an alarm row is written.
        """

    def claim_jobs(self, worker: str, now: float, lease_s: float) -> Claim | None:
        """Lease all available jobs of the most urgent instance that has any due."""

    def finish_jobs(self, claim: Claim, outcome: Outcome, now: float) -> None:
        """Write findings, objects, deliveries and completed jobs in one commit.

        Objects and deliveries that exist already (same UID, same destination)
        are left as they are. Raises LeaseLost when the lease has passed on.
        """

    def fail_jobs(self, claim: Claim, failure: Failure, now: float) -> None:
        """Postpone the claim's jobs to `failure.due_at`, or discard them."""

    def claim_deliveries(
        self, worker: str, now: float, lease_s: float, destination: str | None = None
    ) -> DeliveryBatch | None:
        """Lease due deliveries of one study to one destination, most urgent first.

        With `destination` only those that go there are looked at.
        """

    def finish_deliveries(
        self,
        batch: DeliveryBatch,
        arrived: tuple[Acknowledgement, ...],
        failed: tuple[DeliveryFailure, ...],
        now: float,
        refused: tuple[DeliveryFailure, ...] = (),
    ) -> None:
        """Complete, postpone or discard the batch's deliveries in one commit.

        The `refused` are cancelled and their instances read again, for plainer
        objects; one whose instance is being read just then is postponed instead.
        Deliveries of the batch named in no tuple become available at once.
        """

    def extend_lease(self, held: Claim | DeliveryBatch, now: float, lease_s: float) -> bool:
        """Heartbeat: push the lease on; False when it is no longer ours."""

    def rescue(self, now: float) -> int:
        """Make work whose lease ran out available again; say how many rows.

        A job whose worker died `JOB_RETRY.attempts` times is discarded instead
        (a poison image must not stop the queue).
        """
