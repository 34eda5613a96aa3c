"""A real film, read by the node, in Orthanc, seen with headless Chromium."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.peers.viewers.server import ViewerServer
from tests.peers.viewers.viewport import FILM, PATIENCE_S, PLUGINS, Case, first_visit
from tests.support.listeners import Orthanc
from tests.support.paths import ROOT
from tests.support.variants import decoded, written

OHIF = ROOT / "build" / "viewers" / "package" / "dist"
CORNERSTONE = ROOT / "build" / "viewers" / "cornerstone" / "dist"


@pytest.fixture(scope="session")
def cases(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Case, Case]:
    """The film as it came, and the same as a difficult sender has it; read together."""
    source = shared / "dicom" / f"{FILM}.dcm"
    if not source.is_file():
        pytest.skip(f"no {source}")
    out = tmp_path_factory.mktemp("analyzed")
    difficult = written("all at once", decoded(source), tmp_path_factory.mktemp("sources"))
    _dicom_node("analyze", source, difficult, "--out", out)
    return _case(source, out), _case(difficult, out)


def _case(source: Path, out: Path) -> Case:
    folder = out / source.stem
    study_uid = str(pydicom.dcmread(source, stop_before_pixels=True).StudyInstanceUID)
    return Case(source, folder, study_uid, json.loads((folder / "findings.json").read_text()))


@pytest.fixture(scope="session")
def case(cases: tuple[Case, Case]) -> Case:
    """The film as it came."""
    return cases[0]


def _dicom_node(*arguments: object) -> None:
    command = [sys.executable, "-m", "dicom_node", *map(str, arguments)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.fixture(scope="session")
def pacs(cases: tuple[Case, Case]) -> Iterator[Orthanc]:
    """Orthanc with its web plugins, which has the films and all results by C-STORE."""
    names = ("libOrthancDicomWeb.so", "libOrthancWebViewer.so")
    plugins = [str(PLUGINS / name) for name in names if (PLUGINS / name).exists()]
    with Orthanc(dicom_web=True, options={"Plugins": plugins}) as orthanc:
        to = f"ORTHANC@{orthanc.host}:{orthanc.dicom_port}"
        for case in cases:
            _dicom_node("send", case.source, *sorted(case.folder.glob("*.dcm")), "--to", to)
        yield orthanc


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium; what it wants from outside does not resolve."""
    options = ["--no-sandbox", "--disable-background-networking", "--disable-component-update"]
    options += ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
    options += ["--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
    expect.set_options(timeout=1000 * PATIENCE_S)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=options)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def ohif(pacs: Orthanc, browser: Browser, case: Case) -> Iterator[Page]:
    """OHIF with the study open."""
    require(OHIF)
    with ViewerServer(OHIF, pacs.http_port) as site:
        address = f"{site.address}/viewer?StudyInstanceUIDs={case.study_uid}"
        page = first_visit(browser, address)
        yield page
        page.close()


def require(dist: Path) -> None:
    """Skip without a viewer that `make viewers` brings; fail in CI."""
    if not dist.is_dir():
        reason = f"no {dist}: make viewers"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)


@pytest.fixture(scope="module")
def cornerstone(pacs: Orthanc) -> Iterator[str]:
    """The address of the plain cornerstone3D page."""
    require(CORNERSTONE)
    with ViewerServer(CORNERSTONE, pacs.http_port) as site:
        yield site.address


@pytest.fixture(scope="session")
def shots() -> Path:
    """Where screenshots are kept for a person to look at."""
    folder = Path(os.environ.get("VIEWER_SHOTS", ROOT / "demo-out" / "viewers"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder
