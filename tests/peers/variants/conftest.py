"""The variants of one film, each read once by the shipped models."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dicom_node.commands import analyze
from tests.support.variants import VARIANTS, Read, decoded, written

FILM = "siim_ptx_00028876_003.dcm"
"""A pneumothorax that the shipped model finds in every variant."""


@pytest.fixture(scope="session")
def read(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Read]:
    """Read all variants, with one loading of the models; gives one by its name."""
    path = shared / "dicom" / FILM
    if not path.is_file():
        pytest.skip(f"no {path}")
    film = decoded(path)
    folder, out = (tmp_path_factory.mktemp(name) for name in ("variants", "analyzed"))
    paths = [written(name, film, folder) for name in VARIANTS]
    results = analyze.results(paths, out, ("pneumothorax", "chest_findings"), "cpu")
    done = {
        path.stem: Read(path, out / path.stem, result)
        for path, result in zip(paths, results, strict=True)
    }
    return done.__getitem__
