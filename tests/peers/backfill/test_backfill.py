"""Back-filling from a real PACS."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import func, select

from dicom_node.commands import cli
from dicom_node.storage.database.schema import instances, jobs
from tests.support.listeners import Orthanc, until
from tests.support.pacs_images import (
    ROOT,
    count_received,
    database_of,
    fill,
    radiograph,
    received,
    stored_files,
)

pytestmark = pytest.mark.peers


def backfill(config: Path, *options: str) -> int:
    return cli.main(["backfill", "-c", str(config), *options])


SPAN = ("--from", "2026-11-01", "--to", "2026-11-02")


def test_fetches_the_days_asked_for_and_nothing_twice(
    pacs: Orthanc, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    days = ["20261031", "20261101", "20261102", "20261103"]
    fill(pacs, [radiograph(n, day) for n, day in enumerate(days)])

    assert backfill(config, *SPAN) == 0
    assert sorted(received(config)) == [f"{ROOT}.1", f"{ROOT}.2"]
    assert "2 studies, 2 images: 0 were here, 2 fetched, 0 missing" in capsys.readouterr().out

    assert backfill(config, *SPAN) == 0
    assert "2 studies, 2 images: 2 were here, 0 fetched, 0 missing" in capsys.readouterr().out
    assert len(received(config)) == 2


def test_200_radiographs_with_a_kill_in_the_middle(pacs: Orthanc, config: Path) -> None:
    fill(pacs, (radiograph(n, "20261101" if n % 2 else "20261102") for n in range(200)))
    command = [
        sys.executable,
        "-m",
        "dicom_node",
        "backfill",
        "-c",
        str(config),
        *SPAN,
    ]

    with (
        database_of(config) as engine,
        subprocess.Popen(command, stdout=subprocess.DEVNULL) as killed,
    ):
        until(lambda: count_received(engine) >= 60, "60 images", 60)
        killed.send_signal(signal.SIGKILL)
    before = len(received(config))
    assert killed.returncode == -signal.SIGKILL
    assert 60 <= before < 200

    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr[-2000:]
    assert f"200 images: {before} were here, {200 - before} fetched" in ended.stdout
    uids = received(config)
    assert len(uids) == 200
    assert set(uids) == {f"{ROOT}.{n}" for n in range(200)}
    assert len(stored_files(config)) in (200, 201)  # a file without a row is left to `tidy`
    with database_of(config) as engine, engine.connect() as conn:
        assert conn.scalar(select(func.count()).select_from(jobs)) == 200
        assert set(conn.execute(select(jobs.c.priority)).scalars()) == {"low"}
        assert set(conn.execute(select(instances.c.calling_ae)).scalars()) == {"ORTHANC"}
