"""Ways of back-filling from a real PACS: C-MOVE, one order, every syntax, a rate."""

import subprocess
import threading
import time
from pathlib import Path

import pytest
from pydicom.filereader import read_file_meta_info
from sqlalchemy import select

from dicom_node.commands import cli
from dicom_node.domain.study import Peer
from dicom_node.flow import backfill as flow
from dicom_node.formats.dicom.file_meta import file_head
from dicom_node.network.dimse.association import Target
from dicom_node.network.dimse.scu import echo
from dicom_node.roles.receive import run as run_receive
from dicom_node.settings.settings import load_settings
from dicom_node.storage.database.schema import jobs
from tests.support.listeners import Orthanc, until
from tests.support.pacs_images import ROOT, database_of, fill, radiograph, received, stored_files
from tests.support.raw_scu import CR

pytestmark = pytest.mark.peers

SPAN = ("--from", "2026-11-01", "--to", "2026-11-01")


def backfill(config: Path, *options: str) -> int:
    return cli.main(["backfill", "-c", str(config), *options])


def test_one_order_by_its_accession_number(pacs: Orthanc, config: Path) -> None:
    fill(pacs, [radiograph(n) for n in (1, 11, 111)])
    assert backfill(config, "--accession", "A11") == 0
    assert received(config) == [f"{ROOT}.11"]


def test_a_dry_run_lists_and_fetches_nothing(
    pacs: Orthanc, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(pacs, [radiograph(1), radiograph(2)])
    assert backfill(config, *SPAN, "--dry-run") == 0
    said = capsys.readouterr().out
    assert f"{ROOT}.1.1: 1 images, 0 were here, 1 missing" in said
    assert "2 studies, 2 images: 0 were here, 0 fetched, 2 missing" in said
    assert received(config) == []


def test_only_what_a_route_takes_is_fetched(pacs: Orthanc, config: Path) -> None:
    hand = {0x00180015: (b"CS", b"HAND")}
    mammogram = {0x00080060: (b"CS", b"MG")}
    fill(pacs, [radiograph(1), radiograph(2, changes=mammogram), radiograph(3, changes=hand)])
    assert backfill(config, *SPAN) == 0
    assert received(config) == [f"{ROOT}.1"]


def test_one_route_may_be_named_for_what_is_fetched(
    pacs: Orthanc, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = '[[routes]]\nname = "archive"\ncallers = ["NOBODY"]\npipelines = ["abnormality"]\n'
    config.write_text(config.read_text() + archive)
    fill(pacs, [radiograph(1)])
    assert backfill(config, *SPAN, "--route", "archives") == 2
    assert "no such [[routes]]; known are: chest, archive" in capsys.readouterr().err
    assert backfill(config, *SPAN, "--route", "archive", "--move") == 2
    assert backfill(config, *SPAN, "--route", "archive") == 0
    with database_of(config) as engine, engine.connect() as conn:
        rows = conn.execute(select(jobs.c.pipeline, jobs.c.routes, jobs.c.priority)).all()
    assert [tuple(row) for row in rows] == [("abnormality", '["archive"]', "low")]


def test_bytes_are_those_that_the_pacs_has(pacs: Orthanc, config: Path) -> None:
    fill(pacs, [radiograph(1)])
    assert backfill(config, *SPAN) == 0
    content = radiograph(1).removeprefix(file_head(CR, f"{ROOT}.1", "1.2.840.10008.1.2.1"))
    assert [file.read_bytes().endswith(content) for file in stored_files(config)] == [True]


SYNTAXES = {
    "1.2.840.10008.1.2": ["dcmconv", "+ti"],
    "1.2.840.10008.1.2.1": ["dcmconv", "+te"],
    "1.2.840.10008.1.2.1.99": ["dcmconv", "+td"],
    "1.2.840.10008.1.2.2": ["dcmconv", "+tb"],
    "1.2.840.10008.1.2.4.50": ["dcmcjpeg", "+eb", "+un"],
    "1.2.840.10008.1.2.4.57": ["dcmcjpeg", "+el"],
    "1.2.840.10008.1.2.4.70": ["dcmcjpeg", "+e1"],
    "1.2.840.10008.1.2.4.80": ["dcmcjpls", "+el"],
    "1.2.840.10008.1.2.5": ["dcmcrle"],
}


def test_each_image_comes_in_the_syntax_that_the_pacs_has(
    pacs: Orthanc, config: Path, tmp_path: Path
) -> None:
    source, made = tmp_path / "in.dcm", tmp_path / "out.dcm"
    for number, command in enumerate(SYNTAXES.values()):
        source.write_bytes(radiograph(number))
        subprocess.run([*command, source, made], check=True, capture_output=True)
        fill(pacs, [made.read_bytes()])
    assert backfill(config, *SPAN) == 0
    stored = {str(read_file_meta_info(file).TransferSyntaxUID) for file in stored_files(config)}
    assert stored == set(SYNTAXES)


def test_by_c_move_to_the_running_receiver(pacs: Orthanc, config: Path) -> None:
    fill(pacs, [radiograph(n) for n in range(3)])
    stop, settings = threading.Event(), load_settings(config)
    us = Target(Peer("us", "CXRAI", "127.0.0.1", settings.node.port), "ORTHANC")
    receive = threading.Thread(target=run_receive, args=(settings, stop))
    receive.start()
    try:
        until(lambda: echo(us).ok, "the receiver")
        assert backfill(config, *SPAN, "--move") == 0
        assert backfill(config, *SPAN, "--move") == 0
    finally:
        stop.set()
        receive.join()
    assert sorted(received(config)) == [f"{ROOT}.{n}" for n in range(3)]


def test_a_receiver_that_is_down_is_no_success(
    pacs: Orthanc,
    config: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(flow, "PAUSES_S", ())
    fill(pacs, [radiograph(1)])
    assert backfill(config, *SPAN, "--move") == 1
    said = capsys.readouterr().out
    assert "0 fetched; FAILED 1: C-MOVE: 0xC000" in said
    assert "1 missing, 1 failures" in said
    assert received(config) == []


def test_the_rate_is_kept(pacs: Orthanc, config: Path) -> None:
    fill(pacs, [radiograph(n) for n in range(4)])
    started = time.monotonic()
    assert backfill(config, *SPAN, "--rate", "120") == 0
    assert time.monotonic() - started > 3 * 0.5
    assert len(received(config)) == 4
