"""The results in a plain cornerstone3D page (the folder beside)."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from pydicom.dataset import Dataset

from tests.peers.viewers.overlay import assert_on_the_finding, masks_of, overlap, painted_in
from tests.peers.viewers.viewport import FILM, Case, canvas, fitted, new_page

pytestmark = [pytest.mark.browser, pytest.mark.peers, pytest.mark.data]
Visit = Callable[[Case], Page]
ENDS = "all => all.map(l => ['x1', 'y1', 'x2', 'y2'].map(n => Number(l.getAttribute(n))))"
CORNERS = """all => all.map(one => {
    const [at, all] = [one, one.ownerSVGElement].map(e => e.getBoundingClientRect());
    return [at.left - all.left, at.top - all.top, at.right - all.left, at.bottom - all.top];
})"""


@pytest.fixture
def visit(cornerstone: str, browser: Browser) -> Iterator[Visit]:
    """Open a study with its film shown."""
    pages: list[Page] = []

    def visited(case: Case) -> Page:
        page = new_page(browser, f"{cornerstone}/?StudyInstanceUIDs={case.study_uid}")
        pages.append(page)
        assert clicked(page, "CR").startswith("image")
        return page

    yield visited
    for page in pages:
        page.close()


def clicked(page: Page, series: str) -> str:
    """Click the button of a series; gives what the page says was done."""
    page.get_by_role("button", name=re.compile(f"^{series}")).click()
    told = page.locator("output")
    expect(told).not_to_be_empty()
    return told.inner_text()


def test_seg_lies_on_the_finding(visit: Visit, case: Case, shared: Path, shots: Path) -> None:
    page = visit(case)
    before = canvas(page)
    assert clicked(page, "SEG").startswith("segments: Pneumothorax")
    change = canvas(page, other_than=before) - before
    page.screenshot(path=shots / "cornerstone-seg.png")
    outline = shared / "cxr" / "masks" / f"{FILM.removeprefix('siim_ptx_')}.png"
    assert_on_the_finding(change, case.folder / "seg.dcm", outline)


def test_seg_of_a_difficult_film(visit: Visit, cases: tuple[Case, Case], shots: Path) -> None:
    """Mirrored, MONOCHROME1, no spacing; odd size, so a SEG per pipeline."""
    for name in ("Pneumonia", "Pneumothorax"):
        page = visit(cases[1])
        before = canvas(page)
        clicked(page, f"SEG AI segmentation: {name}")
        painted = painted_in(canvas(page, other_than=before) - before)
        page.screenshot(path=shots / f"cornerstone-seg-difficult-{name.lower()}.png")
        (mask,) = masks_of(cases[1].folder / f"seg-{name.lower()}.dcm", painted.shape)
        assert overlap(painted, mask) > 0.95


def measured(items: Dataset) -> Iterator[tuple[Dataset, Dataset]]:
    """List the measurements of an SR with their coordinates."""
    for one in items.get("ContentSequence", []):
        if one.ValueType == "NUM":
            yield from ((one, at) for at in one.get("ContentSequence", []) if "GraphicData" in at)
        yield from measured(one)


def on_screen(at: Dataset, film: Dataset, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Give the points of a coordinate (x, y) where a viewer that fits the film has them."""
    size = np.array([film.Columns, film.Rows])
    factor = min(np.array(shape[1::-1]) / size)
    points = np.array(at.GraphicData, dtype=float).reshape(-1, 2)
    return np.asarray((points - size / 2) * factor + np.array(shape[1::-1]) / 2)


def test_sr_is_drawn_where_it_says_with_its_words(visit: Visit, case: Case, shots: Path) -> None:
    page = visit(case)
    shape = canvas(page).shape
    sr = list(measured(pydicom.dcmread(case.folder / "sr.dcm")))
    assert clicked(page, "SR AI structured") == f"measurements: {len(sr)}"
    said = page.locator("svg tspan")
    expect(said).to_have_count(len(sr))
    page.screenshot(path=shots / "cornerstone-sr.png")

    texts = said.all_text_contents()
    for num, _ in sr:
        name = num.ConceptNameCodeSequence[0].CodeMeaning
        value = float(num.MeasuredValueSequence[0].NumericValue)
        assert any(f"{name} {value:g}" in text for text in texts)
    assert any("Pneumothorax: PRESENT, URGENT; Distance" in text for text in texts)

    film = pydicom.dcmread(case.source, stop_before_pixels=True)
    places = [on_screen(at, film, shape) for _, at in sr]
    lines = [points.ravel() for points in places if len(points) == 2]
    boxes = [np.hstack([points.min(0), points.max(0)]) for points in places if len(points) > 2]
    assert len(lines) > 3
    assert len(boxes) > 3
    for expected, tag, script in ((lines, "line", ENDS), (boxes, "rect", CORNERS)):
        drawn = np.array(page.locator(f"svg {tag}").evaluate_all(script))
        for one in expected:
            assert np.abs(drawn - one).max(axis=1).min() < 2


def test_sc_is_shown_as_it_was_drawn(visit: Visit, case: Case, shots: Path) -> None:
    page = visit(case)
    film = canvas(page)
    clicked(page, "OT AI overlay")
    shown = canvas(page, other_than=film)
    page.screenshot(path=shots / "cornerstone-sc.png")
    drawn = Image.fromarray(pydicom.dcmread(case.folder / "sc.dcm").pixel_array)
    expected = fitted(drawn, shown.shape)
    assert np.abs(shown - expected).mean() < 6
    assert np.corrcoef(shown.ravel(), expected.ravel())[0, 1] > 0.97


def test_other_kinds_are_listed_and_not_shown(visit: Visit, case: Case) -> None:
    page = visit(case)
    for modality in ("PR", "KO", "DOC"):
        assert clicked(page, modality) == f"{modality}: not shown"
    assert clicked(page, "SR AI report in words") == "no measurements"
