"""Back-filling over DICOMweb from a real PACS."""

import subprocess
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.filereader import read_file_meta_info
from sqlalchemy import select

from dicom_node.commands import cli
from dicom_node.network.dicomweb import retrieve
from dicom_node.storage.database.schema import instances
from tests.support.listeners import Orthanc
from tests.support.pacs_images import ROOT, database_of, fill, radiograph, received, stored_files

pytestmark = pytest.mark.peers

SPAN = ("--from", "2026-11-01", "--to", "2026-11-02")


@pytest.fixture
def web(config: Path, pacs: Orthanc) -> Path:
    """The configuration, with the PACS's DICOMweb server in it."""
    url = f"http://127.0.0.1:{pacs.http_port}/dicom-web"
    config.write_text(config.read_text() + f'[[stow]]\nname = "cloud"\nurl = "{url}"\n')
    return config


def backfill(config: Path, *options: str) -> int:
    return cli.main(["backfill", "-c", str(config), "--web", "cloud", *options])


def test_fetches_the_days_asked_for_and_nothing_twice(
    pacs: Orthanc, web: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    days = ["20261031", "20261101", "20261102", "20261103"]
    mammogram = {0x00080060: (b"CS", b"MG")}
    hand = {0x00180015: (b"CS", b"HAND")}
    fill(pacs, [radiograph(n, day) for n, day in enumerate(days)])
    fill(pacs, [radiograph(5, changes=mammogram), radiograph(6, changes=hand)])

    assert backfill(web, *SPAN, "--dry-run") == 0
    assert "2 studies, 2 images: 0 were here, 0 fetched, 2 missing" in capsys.readouterr().out
    assert backfill(web, *SPAN) == 0
    assert sorted(received(web)) == [f"{ROOT}.1", f"{ROOT}.2"]
    assert backfill(web, *SPAN) == 0
    assert "2 studies, 2 images: 2 were here, 0 fetched, 0 missing" in capsys.readouterr().out
    with database_of(web) as engine, engine.connect() as conn:
        # the peer at the server's address
        assert set(conn.execute(select(instances.c.calling_ae)).scalars()) == {"ORTHANC"}


def test_one_order_by_its_accession_number(pacs: Orthanc, web: Path) -> None:
    fill(pacs, [radiograph(n) for n in (1, 11, 111)])
    assert backfill(web, "--accession", "A11") == 0
    assert received(web) == [f"{ROOT}.11"]


def test_pages_are_turned(pacs: Orthanc, web: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieve, "PAGE", 2)
    fill(pacs, [radiograph(n) for n in range(5)])
    assert backfill(web, *SPAN) == 0
    assert sorted(received(web)) == [f"{ROOT}.{n}" for n in range(5)]


def test_what_came_by_dimse_is_the_same_image(pacs: Orthanc, web: Path) -> None:
    fill(pacs, [radiograph(1), radiograph(2)])
    assert cli.main(["backfill", "-c", str(web), "--accession", "A1"]) == 0
    assert backfill(web, *SPAN) == 0
    assert sorted(received(web)) == [f"{ROOT}.1", f"{ROOT}.2"]


def test_a_compressed_image_comes_as_it_is_stored(pacs: Orthanc, web: Path, tmp_path: Path) -> None:
    source, made = tmp_path / "in.dcm", tmp_path / "out.dcm"
    source.write_bytes(radiograph(1))
    subprocess.run(["dcmcjpls", source, made], check=True)
    fill(pacs, [made.read_bytes()])
    assert backfill(web, *SPAN) == 0
    (file,) = stored_files(web)
    assert read_file_meta_info(file).TransferSyntaxUID == "1.2.840.10008.1.2.4.80"
    stored = made.read_bytes()
    data_set_at = dcmread(made, stop_before_pixels=True).file_meta.FileMetaInformationGroupLength
    assert file.read_bytes().endswith(stored[132 + 12 + data_set_at :])


def test_a_server_that_is_unknown_or_away_is_named(
    pacs: Orthanc, web: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicom_node.flow.backfill.PAUSES_S", ())
    assert cli.main(["backfill", "-c", str(web), "--web", "other", *SPAN]) == 2
    assert "no such [[stow]]; known are: cloud" in capsys.readouterr().err
    web.write_text(web.read_text().replace(f":{pacs.http_port}/", ":9/"))
    assert backfill(web, *SPAN) == 1
    assert "no connection" in capsys.readouterr().err
