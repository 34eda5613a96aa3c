"""The results in Orthanc's own pages: its web viewer and its explorer."""

import os
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from playwright.sync_api import Browser, expect

from tests.peers.viewers.viewport import PLUGINS, Case, canvas, fitted, new_page
from tests.support.listeners import Orthanc

pytestmark = [pytest.mark.browser, pytest.mark.peers, pytest.mark.data]


def ids_of(pacs: Orthanc, path: Path) -> tuple[str, str]:
    """Give Orthanc's names of a file's series and instance."""
    uid = str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID)
    (instance,) = pacs.rest("/tools/find", {"Level": "Instance", "Query": {"SOPInstanceUID": uid}})
    return str(pacs.rest(f"/instances/{instance}")["ParentSeries"]), instance


def test_sc_in_the_web_viewer(pacs: Orthanc, browser: Browser, case: Case, shots: Path) -> None:
    if not (PLUGINS / "libOrthancWebViewer.so").exists() and os.environ.get("CI") != "true":
        pytest.skip("not installed: orthanc-webviewer")
    series, _ = ids_of(pacs, case.folder / "sc.dcm")
    page = new_page(
        browser, f"http://{pacs.host}:{pacs.http_port}/web-viewer/app/viewer.html?series={series}"
    )
    shown = canvas(page, "canvas")
    page.screenshot(path=shots / "orthanc-webviewer-sc.png")
    page.close()
    drawn = Image.fromarray(pydicom.dcmread(case.folder / "sc.dcm").pixel_array)
    expected = fitted(drawn, shown.shape)
    assert np.corrcoef(shown.ravel(), expected.ravel())[0, 1] > 0.97


def test_explorer_lists_every_object_and_hands_out_the_pdf(
    pacs: Orthanc, browser: Browser, case: Case, shots: Path
) -> None:
    _, instance = ids_of(pacs, case.folder / "text_sr.dcm")
    page = new_page(
        browser, f"http://{pacs.host}:{pacs.http_port}/app/explorer.html#instance?uuid={instance}"
    )
    expect(page.get_by_text("AI report in words").first).to_be_visible()
    page.screenshot(path=shots / "orthanc-explorer.png")
    page.close()
    _, instance = ids_of(pacs, case.folder / "pdf.dcm")
    assert pacs.content(f"/instances/{instance}/pdf").startswith(b"%PDF-")
