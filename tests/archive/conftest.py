"""Archives of every kind: the same suite runs over all of them."""

import itertools
import os
from base64 import b64encode
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from dicom_node.adapters.archive import FileArchive
from dicom_node.adapters.archive_s3 import S3Archive
from dicom_node.adapters.orphans import SPOOL
from dicom_node.adapters.vault import load_keys
from dicom_node.adapters.vault_archive import VaultArchive
from dicom_node.adapters.vault_room import Room
from dicom_node.domain.ports import Archive
from tests.s3_server import S3Server, s3_server

Opened = Callable[[], Archive]
numbers = itertools.count()


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture(params=["folder", "sealed", pytest.param("s3", marks=pytest.mark.s3)])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Opened:
    """Open the same new archive again and again, as the processes of many hosts do."""
    if request.param == "folder":
        return lambda: FileArchive(tmp_path / "made" / "here")
    if request.param == "sealed":
        return partial(_sealed, tmp_path)
    bucket = request.getfixturevalue("s3").bucket(f"site/{next(numbers)}")
    hosts = itertools.count()
    return lambda: S3Archive(bucket, tmp_path / f"host{next(hosts)}", 1 << 30)


def _sealed(folder: Path) -> VaultArchive:
    root, file = folder / "made" / "here", folder / "keys"
    if not file.exists():
        file.write_bytes(b64encode(os.urandom(32)))
        file.chmod(0o600)
    keys, register = load_keys(str(file)), root / SPOOL / "keys"
    return VaultArchive(FileArchive(root), keys, register, Room(folder))


@pytest.fixture
def archive(opened: Opened) -> Archive:
    return opened()
