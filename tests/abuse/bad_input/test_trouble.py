"""Trouble on our side: the sender keeps its copy, later it works again."""

import os
import shutil
from pathlib import Path

import pytest

from dicom_node.domain.errors import TryAgain
from dicom_node.domain.work import Admission, Arrival, Recorded
from dicom_node.storage.archive.files import FileArchive
from dicom_node.storage.archive.spool import FileSpool
from tests.support.encoded import chest
from tests.support.raw_scu import RawSCU
from tests.support.receiver import Setup, receiver


class FullDisk(FileArchive):
    """A disk that fills up while a file is written."""

    full = True

    def spool(self) -> FileSpool:
        spool = super().spool()
        if self.full:
            os.close(spool._descriptor)
            spool._descriptor = os.open("/dev/full", os.O_WRONLY)
        return spool


class FailingLedger:
    """A ledger that raises what it is told to."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def record(self, arrival: Arrival, admission: Admission) -> Recorded:
        raise self.error


def test_disk_below_the_reserve_gets_a700(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    with receiver(tmp_path, Setup(min_free_bytes=10 * free)) as node, RawSCU(node.port) as scu:
        response = scu.store(chest())
        assert (response.status, response.comment) == (0xA700, "disk space is below the reserve")
        assert node.rows() == [] and node.files() == []
        assert scu.echo() == 0x0000


def test_full_disk_gets_a700_until_there_is_room(tmp_path: Path) -> None:
    archive = FullDisk(tmp_path / "archive")
    with receiver(tmp_path, Setup(archive=archive)) as node, RawSCU(node.port) as scu:
        assert scu.store(chest()).status == 0xA700
        assert node.rows() == []
        archive.full = False
        assert scu.store(chest()).status == 0x0000
        assert len(node.rows()) == len(node.files()) == 1


def test_database_away_gets_a700(tmp_path: Path) -> None:
    ledger = FailingLedger(TryAgain("database is locked"))
    with receiver(tmp_path, Setup(ledger=ledger)) as node, RawSCU(node.port) as scu:  # type: ignore[arg-type]
        response = scu.store(chest())
        assert response.status == 0xA700
        assert "database" in response.comment
        assert scu.echo() == 0x0000
        # the commit may have happened all the same: the file must stay
        assert len(node.files()) == 1


@pytest.mark.parametrize("error", [ValueError("TEST^PATIENT"), KeyError("x"), RecursionError()])
def test_internal_error_gets_0110_and_says_nothing(
    tmp_path: Path, error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    with (
        receiver(tmp_path, Setup(ledger=FailingLedger(error))) as node,  # type: ignore[arg-type]
        RawSCU(node.port) as scu,
    ):
        response = scu.store(chest())
        assert (response.status, response.comment) == (0x0110, "internal error")
        assert scu.store(chest()).status == 0x0110
        assert scu.echo() == 0x0000
    printed = capsys.readouterr()
    assert "store_failed" in printed.out + printed.err
    assert "TEST^PATIENT" not in printed.out + printed.err


def test_out_of_memory_gets_a700(tmp_path: Path) -> None:
    ledger = FailingLedger(MemoryError())
    with receiver(tmp_path, Setup(ledger=ledger)) as node, RawSCU(node.port) as scu:  # type: ignore[arg-type]
        assert scu.store(chest()).status == 0xA700
        assert scu.echo() == 0x0000
