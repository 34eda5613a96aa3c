"""An evaluation as one self-contained HTML page."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import binary_erosion

from pipelines.datasets.picture import open_grey
from pipelines.measuring.charts import Chart, draw

SIDE = 260
TRUTH, FOUND = (0, 158, 115), (230, 159, 0)
STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 70rem; padding: 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
.note { border-left: 4px solid #d55e00; padding-left: .7rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .8rem 0; }
th, td { padding: .25rem .7rem; text-align: left; white-space: nowrap; }
th { border-bottom: 2px solid #888; } tr + tr td { border-top: 1px solid #8884; }
.row { display: flex; flex-wrap: wrap; gap: 1rem; }
.row > * { flex: 1 1 20rem; max-width: 26rem; }
svg { background: #fff; border: 1px solid #8884; border-radius: 6px; width: 100%; }
svg text { font: 12px system-ui, sans-serif; fill: #222; } svg .title { font-weight: 600; }
figure { flex: 0 1 16rem; margin: 0; } figure img { width: 100%; background: #000; }
figcaption { font-size: .85rem; overflow-wrap: anywhere; } code { overflow-wrap: anywhere; }
"""


@dataclass(frozen=True, slots=True)
class Miss:
    """One radiograph that was read wrongly."""

    file: str
    words: str
    """The truth and the score."""
    image: Path | None = None
    drawn: NDArray[np.bool_] | None = None
    """The expert's mask, any size."""
    found: NDArray[np.bool_] | None = None
    """The model's mask."""


def page(
    title: str,
    sha256: str,
    tables: Sequence[Sequence[Sequence[str]]],
    charts: Sequence[Chart],
    misses: Sequence[Miss],
    shown: bool,
) -> str:
    """Give the page; nothing in it is loaded from elsewhere."""
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>",
        f"<h1>{escape(title)}</h1>",
        '<p class="note">NOT FOR DIAGNOSTIC USE. Intervals are 95 %, by a bootstrap over '
        f"patients. Weights: <code>{escape(sha256)}</code></p>",
    ]
    if charts:
        parts += ['<h2>Curves</h2><div class="row">', *map(draw, charts), "</div>"]
    if tables:
        parts += ["<h2>Figures</h2>", *map(_table, tables)]
    if misses:
        parts.append("<h2>Worst misses</h2>")
        if shown:
            legend = "Outlines: green the expert's, orange the model's."
            parts += [f'<p>{legend}</p><div class="row">', *map(_figure, misses), "</div>"]
        else:
            rows = [("image", "truth and score"), *((one.file, one.words) for one in misses)]
            parts.append(_table(rows))
    return "".join([*parts, "</body></html>\n"])


def _table(rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in rows[0])
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows[1:]
    )
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'


def _figure(miss: Miss) -> str:
    words = f"<figcaption><b>{escape(miss.file)}</b><br>{escape(miss.words)}</figcaption>"
    if miss.image is None:
        return f"<figure>{words}</figure>"
    coded = base64.b64encode(_thumbnail(miss, miss.image)).decode()
    return f'<figure><img alt="" src="data:image/jpeg;base64,{coded}">{words}</figure>'


def _thumbnail(miss: Miss, path: Path) -> bytes:
    """Give a small JPEG of the radiograph with the outlines."""
    grey = Image.fromarray((255 * open_grey(path)).astype(np.uint8))
    grey.thumbnail((SIDE, SIDE))
    shown = np.asarray(grey.convert("RGB")).copy()
    for mask, colour in ((miss.found, FOUND), (miss.drawn, TRUTH)):
        if mask is not None and mask.any():
            small = Image.fromarray(mask.astype(np.uint8) * 255).resize(grey.size)
            inside = np.asarray(small) > 127
            shown[inside & ~binary_erosion(inside, iterations=1)] = colour
    target = io.BytesIO()
    Image.fromarray(shown).save(target, "JPEG", quality=80)
    return target.getvalue()
