"""Registers what the archive holds and the database has forgotten."""

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dicom_node.domain.admission import Route, admit
from dicom_node.domain.errors import GiveUp, NotAnalysable
from dicom_node.domain.pipeline import Archive, Ledger
from dicom_node.domain.study import Instance
from dicom_node.domain.work import Arrival, Recorded, StoredFile
from dicom_node.flow.receive import FOLDER

HOST = "recover"
"""What stands for the sender's address, which the archive does not know."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """What recovering needs."""

    archive: Archive
    ledger: Ledger
    known_keys: Callable[[Collection[str]], set[str]]
    describe: Callable[[Path], Instance]
    """Reads a stored file's header; raises NotAnalysable."""
    routes: tuple[Route, ...]
    calling_ae: str
    """Who is taken for the sender, whom the archive does not know."""
    called_ae: str


@dataclass(frozen=True, slots=True)
class Recovered:
    """What became of one file that no row knew."""

    key: str
    recorded: Recorded | None = None
    """None: it could not be registered; `reason` says why."""
    reason: str = ""


def recover(keys: Iterable[str], recovery: Recovery, now: float) -> Iterator[Recovered]:
    """Record and queue each received instance that no row knows, one by one.

    Interrupted, it is simply run again. Raises TryAgain where database or archive
    are away.
    """
    for key in keys:
        if key.startswith(f"{FOLDER}/") and not recovery.known_keys([key]):
            yield _register(key, recovery, now)


def _register(key: str, recovery: Recovery, now: float) -> Recovered:
    try:
        with recovery.archive.opened(key) as path:
            content = path.read_bytes()
            instance = recovery.describe(path)
    except (GiveUp, NotAnalysable) as error:
        return Recovered(key, reason=str(error))
    file = StoredFile(key, hashlib.sha256(content).hexdigest(), len(content))
    admission = admit(instance, recovery.calling_ae, recovery.routes)
    arrival = Arrival(instance, file, recovery.calling_ae, recovery.called_ae, HOST, now)
    return Recovered(key, recovery.ledger.record(arrival, admission))
