"""A hospital around a node: Orthanc, an HL7 listener, two databases."""

import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicom_node.commands.demo.phantom import phantom_dx
from tests.support.listeners import HL7Listener, Orthanc
from tests.support.node import film, make_node
from tests.support.postgres_server import PostgresServer, postgres_server

__all__ = ["film", "make_node"]

numbers = itertools.count()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/node.db"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.create(f"story{next(numbers)}")


@pytest.fixture
def orthanc() -> Iterator[Orthanc]:
    with Orthanc() as running:
        yield running


@pytest.fixture
def ris() -> Iterator[HL7Listener]:
    with HL7Listener() as running:
        yield running


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A DX file per condition: none, right, left."""
    folder = tmp_path_factory.mktemp("phantoms")
    paths = {}
    for seed, condition in ((1, "none"), (2, "right"), (3, "left")):
        paths[condition] = folder / f"{condition}.dcm"
        phantom_dx(seed, condition, made_at=time.time(), rows=1024, columns=1024).save_as(
            paths[condition], enforce_file_format=True
        )
    return paths
