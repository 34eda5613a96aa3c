"""An evaluation as one self-contained HTML page."""

import base64
import io
import itertools
import re
from collections.abc import Sequence
from html import escape

import jinja2
import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from PIL import Image
from scipy.ndimage import binary_erosion

from pipelines.datasets.picture import open_grey
from pipelines.measuring.curves import Chart
from pipelines.measuring.report import Miss, Report

SIDE = 260
TRUTH, FOUND = (0, 158, 115), (230, 159, 0)
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#5b5b5b", "#000000")
"""Okabe and Ito's palette: told apart by colour-blind readers."""


def page(report: Report, tables: Sequence[Sequence[Sequence[str]]], shown: bool) -> str:
    """Give the page; nothing in it is loaded from elsewhere.

    With `shown`, the missed radiographs are in it. Pages that go into a
    repository leave them out: the images are not ours.
    """
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("pipelines.measuring"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return templates.get_template("evaluation.html").render(
        report=report,
        charts=list(map(draw, report.charts)),
        tables=tables,
        shown=shown,
        thumbnail=thumbnail,
    )


def draw(chart: Chart) -> str:
    """Give a chart as an SVG element, the legend below it."""
    figure = Figure(figsize=(4.4, 4.2 + 0.22 * len(chart.lines)), layout="constrained")
    axes = figure.add_subplot(xlim=(0, chart.most_x), ylim=(0, 1), xlabel=chart.x, ylabel=chart.y)
    axes.set_title(chart.title, weight="bold")
    axes.grid(color="#dddddd")
    if chart.diagonal:
        axes.plot((0, chart.most_x), (0, 1), "--", color="#999999", linewidth=1)
    for line, colour in zip(chart.lines, itertools.cycle(COLOURS), strict=False):
        marker, stroke = "o" if line.dots else "", "-" if line.joined else ""
        x, y = np.transpose(line.points) if len(line.points) else ((), ())
        axes.plot(x, y, color=colour, label=line.name, marker=marker, linestyle=stroke)
    if any(line.name for line in chart.lines):
        figure.legend(loc="outside lower left", frameon=False, fontsize="small")
    target = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": chart.title}):
        figure.savefig(target, format="svg", metadata={"Date": None})
    _, svg, rest = target.getvalue().partition("<svg")
    named = f'{svg} role="img" aria-label="{escape(chart.title)}"{rest}'
    return re.sub(r"<metadata>.*?</metadata>", "", named, flags=re.DOTALL)


def thumbnail(miss: Miss) -> str:
    """Give a small JPEG of the radiograph with the outlines, in Base64."""
    assert miss.image is not None  # noqa: S101 - the template asks for those with an image
    grey = Image.fromarray((255 * open_grey(miss.image)).astype(np.uint8))
    grey.thumbnail((SIDE, SIDE))
    shown = np.asarray(grey.convert("RGB")).copy()
    for mask, colour in ((miss.found, FOUND), (miss.drawn, TRUTH)):
        if mask is not None and mask.any():
            small = Image.fromarray(mask.astype(np.uint8) * 255).resize(grey.size)
            inside = np.asarray(small) > 127
            shown[inside & ~binary_erosion(inside, iterations=1)] = colour
    target = io.BytesIO()
    Image.fromarray(shown).save(target, "JPEG", quality=80)
    return base64.b64encode(target.getvalue()).decode()
