"""A node and phantoms for the life of models."""

from pathlib import Path

import pytest

from dicom_node.commands.demo.phantom import phantom_dx
from tests.support.node import CONFIGURATION, MakeNode, Node, film, make_node

__all__ = ["film", "make_node"]


@pytest.fixture
def node(make_node: MakeNode) -> Node:
    return make_node(CONFIGURATION)


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A DX file of a healthy chest, and one with a right pneumothorax."""
    folder = tmp_path_factory.mktemp("phantoms")
    paths = {}
    for seed, condition in ((1, "none"), (2, "right")):
        paths[condition] = folder / f"{condition}.dcm"
        ds = phantom_dx(seed, condition, made_at=1.7e9, rows=512, columns=512)
        ds.save_as(paths[condition], enforce_file_format=True)
    return paths
