"""What a viewer's page shows: series opened, canvases read as pixels."""

import base64
import time
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Page, ViewportSize

PLUGINS = Path("/usr/share/orthanc/plugins")
FILM = "siim_ptx_00011618_004"
"""A pneumothorax that a radiologist outlined (`cxr/masks`), and that the node finds."""
SIZE: ViewportSize = {"width": 1400, "height": 900}
CANVAS = "canvas.cornerstone-canvas"
PATIENCE_S = 180.0
"""For whatever a viewer draws: it does so on the processor, which other tests want too."""
FROM_CANVAS = "canvas => canvas.toDataURL('image/png')"

Pixels = NDArray[np.int16]
"""(height, width, 3): red, green, blue."""


def new_page(browser: Browser, address: str) -> Page:
    """Open a patient page."""
    page = browser.new_page(viewport=SIZE)
    page.set_default_timeout(1000 * PATIENCE_S)
    page.goto(address)
    return page


def opened(page: Page, series: str) -> None:
    """Open a series of OHIF's list by its description."""
    page.get_by_text(series, exact=False).first.dblclick()


def canvas(page: Page, selector: str = CANVAS, other_than: Pixels | None = None) -> Pixels:
    """Give the image area, without texts or lines, once it no longer changes.

    Raises TimeoutError; also where it stays as `other_than`.
    """
    give_up_at = time.monotonic() + PATIENCE_S
    before = ""
    while time.monotonic() < give_up_at:
        now = str(page.locator(selector).first.evaluate(FROM_CANVAS))
        pixels = _pixels(now)
        drawn = pixels.max() > 0 and (other_than is None or not np.array_equal(pixels, other_than))
        if drawn and now == before:
            return pixels
        before = now
        page.wait_for_timeout(400)
    raise TimeoutError(f"{selector} did not settle within {PATIENCE_S} s")


def _pixels(address: str) -> Pixels:
    content = base64.b64decode(address.partition(",")[2])
    return np.asarray(Image.open(BytesIO(content)).convert("RGB")).astype(np.int16)


def fitted(image: Image.Image, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Place an image where a viewer does that fits it to (height, width), centred."""
    height, width = shape[:2]
    factor = min(width / image.width, height / image.height)
    size = (round(image.width * factor), round(image.height * factor))
    placed = Image.new(image.mode, (width, height))
    resized = image.resize(size, Image.Resampling.BILINEAR)
    placed.paste(resized, ((width - size[0]) // 2, (height - size[1]) // 2))
    return np.asarray(placed)


@dataclass(frozen=True)
class Case:
    """One film and what the node made of it."""

    source: Path
    folder: Path
    study_uid: str
    findings: dict[str, Any]


def first_visit(browser: Browser, address: str) -> Page:
    """Open a study in OHIF and skip its tour."""
    page = new_page(browser, address)
    page.get_by_text("Skip all").click()
    return page
