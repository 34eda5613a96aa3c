"""What a viewer's page shows: series opened, canvases read as pixels."""

import base64
import time
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Page, ViewportSize

SIZE: ViewportSize = {"width": 1400, "height": 900}
CANVAS = "canvas.cornerstone-canvas"
SETTLE_S = 20.0
FROM_CANVAS = "canvas => canvas.toDataURL('image/png')"

Pixels = NDArray[np.int16]
"""(height, width, 3): red, green, blue."""


def opened(page: Page, series: str) -> None:
    """Open a series of OHIF's list by its description."""
    page.get_by_text(series, exact=False).first.dblclick()


def canvas(page: Page, selector: str = CANVAS) -> Pixels:
    """Give the image area once it no longer changes: pixels without texts or lines."""
    give_up_at = time.monotonic() + SETTLE_S
    before = ""
    while time.monotonic() < give_up_at:
        now = str(page.locator(selector).first.evaluate(FROM_CANVAS))
        if now == before and (pixels := _pixels(now)).max() > 0:
            return pixels
        before = now
        page.wait_for_timeout(400)
    raise TimeoutError(f"{selector} did not settle within {SETTLE_S} s")


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
