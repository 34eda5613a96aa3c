"""Archives of every kind: the same suite runs over all of them."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dicom_node.adapters.archive import FileArchive
from dicom_node.adapters.archive_s3 import S3Archive
from dicom_node.domain.ports import Archive
from tests.s3_server import S3Server, s3_server

Opened = Callable[[], Archive]
numbers = itertools.count()


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.s3)])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Opened:
    """Open the same new archive again and again, as the processes of many hosts do."""
    if request.param == "folder":
        return lambda: FileArchive(tmp_path / "made" / "here")
    bucket = request.getfixturevalue("s3").bucket(f"site/{next(numbers)}")
    hosts = itertools.count()
    return lambda: S3Archive(bucket, tmp_path / f"host{next(hosts)}", 1 << 30)


@pytest.fixture
def archive(opened: Opened) -> Archive:
    return opened()
