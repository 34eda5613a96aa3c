"""A disk that is really full, with database and archive on it."""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from pydicom import dcmread

from dicom_node.domain.errors import TryAgain
from dicom_node.storage.status.status import take_snapshot
from tests.support.encoded import chest
from tests.support.listeners import Storescp
from tests.support.node import MakeNode, Node
from tests.support.raw_scu import RawSCU
from tests.support.receiver import Setup, receiver

SIZE = "16m"
SITE = """
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


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own, where the node keeps everything."""
    folder = tmp_path / "var"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """Leave no room at all."""
    filler = disk / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    return filler


def test_receiving_goes_on_when_there_is_room_again(disk: Path) -> None:
    with receiver(disk, Setup(min_free_bytes=0)) as node, RawSCU(node.port) as scu:
        filler = fill(disk)
        for _ in range(3):
            assert scu.store(chest()).status == 0xA700
        assert scu.echo() == 0x0000
        assert (node.files(), node.leftovers()) == ([], [])
        filler.unlink()
        assert node.rows() == []
        assert scu.store(chest()).status == 0x0000
        (path,) = node.files()
        assert path.read_bytes().endswith(chest())


def turns(node: Node, seconds: float, done: Callable[[], bool] = lambda: False) -> None:
    """Work and deliver as the roles do, whatever fails; dead leases are rescued."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and not done():
        for turn in (node.work, node.deliver, lambda: node.parts.ledger.rescue(time.time() + 61)):
            with suppress(TryAgain):
                turn()
        time.sleep(0.1)


@pytest.mark.peers
def test_reporting_and_delivering_go_on_when_there_is_room_again(
    disk: Path, make_node: MakeNode, tmp_path: Path
) -> None:
    pacs = Storescp(tmp_path / "pacs", ae_title="PACS")
    node = make_node(SITE.format(port=pacs.port))
    node.receive()
    filler = fill(disk)
    turns(node, 1.5)
    filler.unlink()
    snapshot = take_snapshot(node.parts.engine, time.time())
    assert (snapshot.jobs.discarded, snapshot.dead_letters, snapshot.analysed) == (0, (), 0)
    turns(node, 30, lambda: len(node.sent()) == 3)
    assert sorted(kind for _, kind, _ in node.sent()) == ["sc", "seg", "sr"]
    filler = fill(disk)
    with pacs:
        turns(node, 2)  # what was sent and not noted is sent again, as the same objects
        filler.unlink()
        turns(node, 60, lambda: {state for _, _, state in node.sent()} == {"completed"})
        arrived = sorted(dcmread(path).Modality for path in pacs.files)
    assert arrived == ["OT", "SEG", "SR"]
    assert {state for _, _, state in node.sent()} == {"completed"}
