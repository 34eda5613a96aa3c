"""Sites and phantoms for the life of models."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dicom_node.assembly import parts
from dicom_node.commands.demo.phantom import phantom_dx
from dicom_node.settings.settings import load_settings
from tests.support.site import CONFIGURATION, MakeSite, Site


@pytest.fixture
def make_site(tmp_path: Path) -> Iterator[MakeSite]:
    """Configure a site, with more text after the default configuration."""
    made: list[Site] = []

    def make(more: str = "") -> Site:
        config = tmp_path / "node.toml"
        config.write_text(CONFIGURATION + more)
        settings = load_settings(config)
        made.append(Site(config, settings, parts.open_parts(settings, migrate=True)))
        return made[-1]

    yield make
    for site in made:
        site.parts.close()


@pytest.fixture
def site(make_site: MakeSite) -> Site:
    return make_site("")


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
