"""The results in OHIF, from Orthanc's DICOMweb, as a radiologist opens them."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.peers.viewers.overlay import assert_on_the_finding, masks_of, overlap, painted_in
from tests.peers.viewers.viewport import (
    FILM,
    PATIENCE_S,
    Case,
    Pixels,
    canvas,
    first_visit,
    fitted,
    opened,
)
from tests.support.listeners import until

pytestmark = [pytest.mark.browser, pytest.mark.peers, pytest.mark.data]


def hydrated(page: Page, series: str = "AI segmentation") -> Pixels:
    """Load a SEG over the film that is shown; gives what changed in its pixels."""
    before = canvas(page)
    opened(page, series)
    page.get_by_role("button", name="Yes", exact=True).click()
    page.wait_for_timeout(1000)  # the preview, which is no labelmap yet, lies there too
    return canvas(page, other_than=before) - before


def test_seg_lies_on_the_finding(ohif: Page, case: Case, shared: Path, shots: Path) -> None:
    opened(ohif, "view: AP")
    change = hydrated(ohif)
    ohif.screenshot(path=shots / "ohif-seg.png")
    outline = shared / "cxr" / "masks" / f"{FILM.removeprefix('siim_ptx_')}.png"
    assert_on_the_finding(change, case.folder / "seg.dcm", outline)


def test_seg_and_sr_of_a_difficult_film(
    ohif: Page, browser: Browser, cases: tuple[Case, Case], shots: Path
) -> None:
    """Mirrored, MONOCHROME1, no spacing: OHIF turns black over such a SEG unless it
    carries the attributes that its adapter looks for. Odd size: a SEG per pipeline."""
    plain, difficult = cases
    address = ohif.url.replace(plain.study_uid, difficult.study_uid)
    page = first_visit(browser, address)
    for name in ("Pneumonia", "Pneumothorax"):
        page.goto(address)
        painted = painted_in(hydrated(page, f"AI segmentation: {name}"))
        page.screenshot(path=shots / f"ohif-seg-difficult-{name.lower()}.png")
        (mask,) = masks_of(difficult.folder / f"seg-{name.lower()}.dcm", painted.shape)
        assert overlap(painted, mask) > 0.95
    opened(page, "AI structured report")
    probability = difficult.findings["findings"][0]["probability"]
    values = page.locator("svg tspan").filter(has_text=f"Probability: {probability:.2f}")
    expect(values.first).to_be_visible()
    page.screenshot(path=shots / "ohif-sr-difficult.png")
    page.close()


def test_sr_opens_with_its_values(ohif: Page, case: Case, shots: Path) -> None:
    opened(ohif, "AI structured report")
    texts = ohif.locator("svg tspan")
    first = case.findings["findings"][0]
    expect(texts.filter(has_text=f"Probability: {first['probability']:.2f}").first).to_be_visible()
    for finding in case.findings["findings"]:  # OHIF draws them one after the other
        of = texts.filter(has_text=f"Probability: {finding['probability']:.2f}")
        expect(of.first).to_be_attached()
    canvas(ohif)
    ohif.screenshot(path=shots / "ohif-sr.png")
    said = texts.all_text_contents()
    assert any("Pneumothorax: PRESENT" in one and "URGENT" in one for one in said)
    lines = [one for one in first["measurements"] if "distance" in one["name"]]
    assert lines
    for one in lines:
        assert any(f"Distance: {round(one['value'], 1):.2f} mm" in line for line in said)


def test_text_sr_is_readable(ohif: Page, case: Case, shots: Path) -> None:
    opened(ohif, "AI report in words")
    pane = ohif.locator("[data-cy=viewport-pane]").first
    expect(pane).to_contain_text("Pneumothorax: PRESENT")
    ohif.screenshot(path=shots / "ohif-text-sr.png")
    said = pane.inner_text()
    assert f"Area {round(case.findings['findings'][0]['measurements'][0]['value'], 1)} mm2" in said
    assert "NOT FOR DIAGNOSTIC USE" in said
    for one in case.findings["pipelines"]:
        assert one["model_sha256"] in said
    assert "undefined" not in said.replace("undetermined", "")


def test_sc_is_shown_as_it_was_drawn(ohif: Page, case: Case, shots: Path) -> None:
    opened(ohif, "view: AP")
    film = canvas(ohif)
    opened(ohif, "AI overlay")
    expect(ohif.get_by_text("AI overlay")).to_have_count(2)  # in the list and over the image
    shown = canvas(ohif, other_than=film)
    ohif.screenshot(path=shots / "ohif-sc.png")
    drawn = Image.fromarray(pydicom.dcmread(case.folder / "sc.dcm").pixel_array)
    expected = fitted(drawn, shown.shape)
    assert np.abs(shown - expected).mean() < 6
    assert np.corrcoef(shown.ravel(), expected.ravel())[0, 1] > 0.97


def paper(page: Page) -> float:
    """Give the white share of the screen."""
    shown = np.asarray(Image.open(BytesIO(page.screenshot())).convert("L"))
    return float((shown > 250).mean())


def test_pdf_is_shown_by_the_browser(ohif: Page, case: Case, shots: Path) -> None:
    opened(ohif, "AI report (PDF)")
    embedded = ohif.locator("object[type='application/pdf']")
    expect(embedded).to_be_visible()
    # Chromium's own viewer draws in another process, when it is ready: a page is white
    until(lambda: paper(ohif) > 0.2, "a page of the PDF on the screen", PATIENCE_S)
    ohif.screenshot(path=shots / "ohif-pdf.png")
    address = embedded.get_attribute("data")
    script = "url => fetch(url).then(a => a.arrayBuffer()).then(b => [...new Uint8Array(b)])"
    received = bytes(ohif.evaluate(script, address))
    written: bytes = pydicom.dcmread(case.folder / "pdf.dcm").EncapsulatedDocument
    assert received.rstrip(b"\0") == written.rstrip(b"\0")


def test_ohif_warns_of_the_two_kinds_that_it_does_not_show(ohif: Page) -> None:
    rows = ohif.locator("[data-cy=study-browser-thumbnail-no-image]")
    expect(rows).to_have_count(6)
    warned = rows.filter(has=ohif.locator("[id^=display-set-tooltip]"))
    modalities = warned.locator("[data-cy=series-modality-label]").all_inner_texts()
    assert sorted(modalities) == ["KO", "PR"]
