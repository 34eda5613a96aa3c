"""Full disks, too little memory, hours without a PACS, and a power cut."""

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest
from pydicom import dcmread
from sqlalchemy import Connection, event

from dicom_node.assembly import destinations
from dicom_node.assembly.archive import archive_folder
from dicom_node.domain.errors import TryAgain
from dicom_node.domain.findings import Findings
from dicom_node.domain.study import Radiograph
from dicom_node.domain.work import JOB_RETRY, StoredFile
from dicom_node.flow.deliver import Outbox, deliver_once
from dicom_node.storage.archive.files import FileArchive
from dicom_node.storage.status.status import take_snapshot
from tests.support.encoded import chest
from tests.support.listeners import Storescp, free_port
from tests.support.node import MakeNode
from tests.support.raw_scu import RawSCU
from tests.support.receiver import receiver
from tests.support.scripted import Scripted

NODE = """
[[peers]]
name = "pacs"
ae_title = "PACS"
host = "127.0.0.1"
port = {port}
[[routes]]
name = "chest"
outputs = ["seg", "sr", "sc"]
send_to = ["pacs"]
"""
HOUR = 3600.0


class FullForResults(FileArchive):
    """A disk that has no room while results are written, until there is."""

    full = True

    def put(self, chunks: Iterable[bytes], folder: str, suffix: str) -> StoredFile:
        if self.full and folder == "results":
            raise TryAgain("archive: No space left on device")
        return super().put(chunks, folder, suffix)


@dataclass
class Hungry(Scripted):
    """A model that finds too little memory at first."""

    shortages: int = 2

    def read(self, radiograph: Radiograph) -> Findings:
        if self.shortages:
            self.shortages -= 1
            raise MemoryError
        return super().read(radiograph)


def test_a_disk_that_is_full_while_reporting_postpones_and_loses_nothing(
    make_node: MakeNode, tmp_path: Path
) -> None:
    node = make_node(NODE.format(port=free_port()))
    disk = FullForResults(archive_folder(node.parts.settings))
    node.parts = replace(node.parts, archive=disk)
    node.receive()
    assert node.work()
    assert node.sent() == []
    snapshot = take_snapshot(node.parts.engine, time.time())
    assert (snapshot.jobs.available, snapshot.jobs.discarded) == (1, 0)
    disk.full = False
    time.sleep(JOB_RETRY.first_s)
    assert node.work()
    assert sorted(kind for _, kind, _ in node.sent()) == ["sc", "seg", "sr"]


def test_a_worker_out_of_memory_tries_again(make_node: MakeNode) -> None:
    node = make_node(NODE.format(port=free_port()))
    node.model = Hungry(shortages=1)
    node.receive()
    assert node.work()
    assert node.sent() == []
    time.sleep(JOB_RETRY.first_s)
    assert node.work()
    assert len(node.sent()) == 3


@pytest.mark.peers
def test_a_pacs_that_is_down_for_ten_hours_gets_everything_once(
    make_node: MakeNode, tmp_path: Path
) -> None:
    pacs = Storescp(tmp_path / "pacs", ae_title="PACS")  # not started yet
    node = make_node(NODE.format(port=pacs.port))
    node.receive()
    assert node.work()
    now = time.time()

    def turn() -> int:
        parts = node.parts
        senders = destinations.senders(parts.settings)
        return deliver_once(Outbox("d", parts.ledger, parts.archive, senders, lambda: now, 60))

    back_at = now + 10 * HOUR
    while now < back_at:
        turn()
        now += HOUR / 4
    assert {state for _, _, state in node.sent()} == {"available"}
    with pacs:
        while turn():
            pass
        assert sorted(dcmread(path).Modality for path in pacs.files) == ["OT", "SEG", "SR"]
    assert {state for _, _, state in node.sent()} == {"completed"}


def test_success_is_answered_after_file_folder_and_row_are_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    rename = Path.rename

    def noted(flush: Callable[[int], None], descriptor: int) -> None:
        flush(descriptor)
        path = Path(f"/proc/self/fd/{descriptor}").resolve()
        steps.append("file" if path.suffix == ".part" else "folder")

    def renamed(path: Path, target: Path) -> Path:
        steps.append("name")
        return rename(path, target)

    def committed(conn: Connection) -> None:
        if conn.info.get("synchronous") == "FULL":  # SQLite flushes its log before it returns
            steps.append("row")

    with receiver(tmp_path) as running, RawSCU(running.port) as scu:
        event.listen(running.engine, "commit", committed)
        for name in ("fsync", "fdatasync"):
            monkeypatch.setattr(os, name, partial(noted, getattr(os, name)))
        monkeypatch.setattr(Path, "rename", renamed)
        assert scu.store(chest()).status == 0x0000
        steps.append("answer")
        assert len(running.rows()) == 1
    written = steps[steps.index("file") :]
    order = [step for n, step in enumerate(written) if step not in written[:n]]
    assert [one for one in order if one != "folder"] == ["file", "name", "row", "answer"]
    last_name, row = written.index("name"), written.index("row")
    assert "folder" in written[last_name:row]
