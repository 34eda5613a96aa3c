"""Archives of every kind: the same suite runs over all of them."""

import itertools
import os
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dicom_node.domain.errors import GiveUp
from dicom_node.domain.pipeline import Archive
from dicom_node.storage.archive.files import FileArchive
from dicom_node.storage.archive.orphans import SPOOL
from dicom_node.storage.archive.room import Room
from dicom_node.storage.archive.s3 import S3Archive
from dicom_node.storage.archive.sealed import SealedArchive
from dicom_node.storage.archive.sealing import load_keys
from tests.support.s3_server import S3Server, s3_server

Opened = Callable[[], Archive]
numbers = itertools.count()


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as running:
        yield running


S3 = [pytest.param(name, marks=pytest.mark.s3) for name in ("s3", "sealed s3")]


@pytest.fixture(params=["folder", "sealed", *S3])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Opened:
    """Open the same new archive again and again, as the processes of many hosts do."""
    root = tmp_path / "made" / "here"
    if request.param == "folder":
        return lambda: FileArchive(root)
    if request.param == "sealed":
        return lambda: _sealed(FileArchive(root), tmp_path, root)
    bucket = request.getfixturevalue("s3").bucket(f"site/{next(numbers)}")
    hosts = itertools.count()

    def on_next_host() -> Archive:
        host = tmp_path / f"host{next(hosts)}"
        archive = S3Archive(bucket, host / "cache", 1 << 30)
        return archive if request.param == "s3" else _sealed(archive, tmp_path, host / "cache")

    return on_next_host


def content_of(archive: Archive, key: str) -> bytes:
    """Give what a file holds, read by its path as pipelines and senders do."""
    with archive.opened(key) as path:
        return path.read_bytes()


class NamedFiles(FileArchive):
    """A folder whose files have any name and any content, so that a test can spoil them."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._folder_of_all = folder

    @contextmanager
    def opened(self, key: str) -> Iterator[Path]:
        path = self._folder_of_all / key
        if not path.is_file():
            raise GiveUp(f"archive file {key} is gone")
        yield path


def _sealed(inner: Archive, folder: Path, root: Path) -> SealedArchive:
    file = folder / "keys"
    if not file.exists():
        file.write_bytes(b64encode(os.urandom(32)))
        file.chmod(0o600)
    keys, register = load_keys(str(file)), root / SPOOL / "keys"
    return SealedArchive(inner, keys, register, Room(folder))


@pytest.fixture
def archive(opened: Opened) -> Archive:
    return opened()


def vault(folder: Path, keys: Path) -> SealedArchive:
    root = folder / "archive"
    room, register = Room(folder / "memory"), root / SPOOL / "keys"
    (folder / "memory").mkdir(exist_ok=True)
    return SealedArchive(FileArchive(root), load_keys(str(keys)), register, room)
