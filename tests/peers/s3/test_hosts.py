"""Roles on hosts that share a database and an S3 store, and no folder."""

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid

from dicom_node.assembly import parts
from dicom_node.assembly.archive import open_archive
from dicom_node.commands import cli
from dicom_node.commands.demo.phantom import phantom_dx
from dicom_node.domain.errors import TryAgain
from dicom_node.domain.study import Peer
from dicom_node.network.dimse import scu
from dicom_node.network.dimse.association import Target
from dicom_node.network.dimse.options import prepare
from dicom_node.settings.settings import load_settings
from tests.support.listeners import HL7Listener, Storescp, free_port, until
from tests.support.processes import CONFIGURATION, Role, RoleProcesses
from tests.support.s3_server import S3Server, s3_server

pytestmark = [pytest.mark.s3, pytest.mark.peers]
ARCHIVE = """
[archive]
url = "s3://films/site"
endpoint = "{endpoint}"
credentials_file = "{credentials}"
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[S3Server]:
    with s3_server(tmp_path / "store") as server:
        yield server


@pytest.fixture
def node(tmp_path: Path, store: S3Server) -> Iterator[RoleProcesses]:
    """One role per host; each host has a folder of its own."""
    prepare()
    film = tmp_path / "film.dcm"
    ds = phantom_dx(2, "right", made_at=1.7e9, rows=300, columns=260)
    ds.save_as(film, enforce_file_format=True)
    port = free_port()
    archive = ARCHIVE.format(endpoint=store.endpoint, credentials=store.credentials())
    with Storescp(tmp_path / "pacs", ae_title="PACS") as pacs, HL7Listener() as ris:
        roles = []
        for name in ("receive", "work", "deliver"):
            host = tmp_path / f"{name}-host"
            host.mkdir()
            known = {"port": port, "pacs": pacs.port, "ris": ris.port, "folder": host}
            text = CONFIGURATION.format(url=f"sqlite:///{tmp_path}/node.db", **known)
            (host / "node.toml").write_text(text + archive)
            roles.append(Role(name, host / "node.toml"))
        parts.open_parts(load_settings(roles[0].config), migrate=True).close()
        yield RoleProcesses(roles[0].config, pacs, ris, roles, film)
        for role in roles:
            role.end(signal.SIGKILL)


def test_a_film_travels_from_host_to_host(node: RoleProcesses, store: S3Server) -> None:
    for role in node.roles:
        role.start()
    node.wait_for(node.send())
    folders = [role.config.parent / "var" for role in node.roles]
    assert not any((folder / "archive").exists() for folder in folders)
    assert all(any((folder / "cache").iterdir()) for folder in folders)
    shutil.rmtree(folders[1])  # a host is lost with all that it had; another takes its place
    node.role("work").end(signal.SIGKILL)
    node.role("work").start()
    node.wait_for(node.send())
    for study in node.sent:
        assert len(node.alerts(study)) == 1


def test_work_waits_for_a_store_that_is_away(node: RoleProcesses, store: S3Server) -> None:
    node.role("receive").start()
    study = node.send()
    store.stop()
    node.role("work").start()
    node.role("deliver").start()
    log = node.role("work").config.parent / "node-work.log"
    until(lambda: log.read_text().count("jobs_postponed") >= 3, "three postponements", 90)
    assert "jobs_discarded" not in log.read_text()
    assert "is away" in log.read_text()
    store.start()
    node.wait_for(study)
    assert len(node.alerts(study)) == 1


def test_nothing_is_acknowledged_while_the_store_is_away(
    node: RoleProcesses, store: S3Server
) -> None:
    node.role("receive").start()
    first = node.send()
    store.stop()
    port = load_settings(node.config).node.port
    us = Target(Peer("node", "CXRAI", "127.0.0.1", port), "MODALITY")
    ds = dcmread(node.film)
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    ds.save_as(node.film)
    (answer,) = scu.store([scu.outgoing(node.film)], us)
    assert isinstance(answer, TryAgain) and "A700" in str(answer)
    store.start()
    (answer,) = scu.store([scu.outgoing(node.film)], us)
    assert isinstance(answer, str) and "0000" in answer
    assert node.sent == [first]


def test_check_says_how_the_store_is(
    tmp_path: Path, store: S3Server, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "node.toml"
    credentials = store.credentials()
    text = ARCHIVE.format(endpoint=store.endpoint, credentials=credentials)
    known = {"port": free_port(), "pacs": 1, "ris": 1, "folder": tmp_path}
    config.write_text(CONFIGURATION.format(url=f"sqlite:///{tmp_path}/node.db", **known) + text)

    def lines() -> list[str]:
        cli.main(["check", "-c", str(config)])
        return [line for line in capsys.readouterr().out.splitlines() if " archive" in line]

    (line,) = lines()
    assert line.startswith("ok") and "stored, read and deleted" in line and "without TLS" in line
    credentials.chmod(0o644)
    assert [line.split()[0] for line in lines()] == ["ok", "FAILED"]
    store.stop()
    (line,) = lines()
    assert line.startswith("FAILED") and "is away" in line
    assert cli.main(["migrate", "-c", str(config)]) == 0
    assert cli.main(["status", "-c", str(config)]) == 0
    credentials.unlink()
    assert cli.main(["receive", "-c", str(config)]) == 2
    assert "archive.credentials_file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('url = "/folder"', "file:///folder"),
        ('url = "file://host/folder"', "file:///folder"),
        ('url = "s3://key:secret@films"', "credentials_file"),
        ('url = "s3://films/../other"', "s3://bucket/prefix"),
        ('endpoint = "http://127.0.0.1"', "needs archive.url"),
        ('url = "s3://films"\nendpoint = "127.0.0.1:9000"', "https://host:port"),
    ],
)
def test_places_that_are_none(
    text: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "node.toml").write_text(f"[archive]\n{text}\n")
    assert cli.main(["status", "-c", str(tmp_path / "node.toml")]) == 2
    said = capsys.readouterr().err
    assert words in said and "secret" not in said


def test_a_shared_folder_must_be_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    share, config = tmp_path / "the share", tmp_path / "node.toml"
    config.write_text(f'[archive]\nurl = "file://{tmp_path}/the%20share"\n')
    assert cli.main(["migrate", "-c", str(config)]) in (0, 2)
    assert cli.main(["receive", "-c", str(config)]) == 2
    assert "mount it" in capsys.readouterr().err
    share.mkdir()
    archive = open_archive(load_settings(config))
    key = archive.put([b"film"], "instances", ".dcm").key
    assert (share / key).read_bytes() == b"film"
