"""Line charts as SVG, for an evaluation page that needs nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDE, HIGH, LEFT, RIGHT, TOP, BOTTOM = 400, 360, 52, 14, 30, 46
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#5b5b5b", "#000000")
"""Okabe and Ito's palette: told apart by colour-blind readers."""


@dataclass(frozen=True, slots=True)
class Line:
    """One curve; `dots` marks its points, without `joined` there is no line."""

    name: str
    points: Sequence[tuple[float, float]]
    dots: bool = False
    joined: bool = True


@dataclass(frozen=True, slots=True)
class Chart:
    """Curves over 0 to `most_x` and 0 to 1."""

    title: str
    x: str
    y: str
    lines: Sequence[Line]
    most_x: float = 1.0
    diagonal: bool = False


def draw(chart: Chart) -> str:
    """Give a chart as an SVG element; the legend below grows with the lines."""
    legend = 18 * len(chart.lines) + 8
    high = HIGH + legend
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDE} {high}" role="img" '
        f'aria-label="{escape(chart.title)}">',
        f'<text x="{LEFT}" y="18" class="title">{escape(chart.title)}</text>',
        *_axes(chart),
    ]
    if chart.diagonal:
        parts.append(_path(chart, [(0.0, 0.0), (chart.most_x, 1.0)], "#999", "4 4"))
    for number, line in enumerate(chart.lines):
        colour = COLOURS[number % len(COLOURS)]
        if line.joined:
            parts.append(_path(chart, line.points, colour))
        if line.dots:
            parts += [_dot(chart, point, colour) for point in line.points]
        y = HIGH + 8 + 18 * number
        parts.append(f'<rect x="{LEFT}" y="{y - 8}" width="14" height="4" fill="{colour}"/>')
        parts.append(f'<text x="{LEFT + 20}" y="{y - 1}">{escape(line.name)}</text>')
    return "".join([*parts, "</svg>"])


def _axes(chart: Chart) -> list[str]:
    parts = []
    for step in range(6):
        share = step / 5
        x, y = _place(chart, (share * chart.most_x, share))
        bottom, left = _place(chart, (0.0, 0.0))[1], LEFT
        grid = 'stroke="#ddd"'
        parts.append(f'<line x1="{x}" x2="{x}" y1="{TOP}" y2="{bottom}" {grid}/>')
        parts.append(f'<line x1="{left}" x2="{WIDE - RIGHT}" y1="{y}" y2="{y}" {grid}/>')
        value = share * chart.most_x
        parts.append(f'<text x="{x}" y="{bottom + 15}" text-anchor="middle">{value:.2g}</text>')
        parts.append(f'<text x="{left - 6}" y="{y + 4}" text-anchor="end">{share:.1f}</text>')
    middle = (TOP + HIGH - BOTTOM) / 2
    parts.append(
        f'<text x="{(LEFT + WIDE - RIGHT) / 2}" y="{HIGH - BOTTOM + 32}" '
        f'text-anchor="middle">{escape(chart.x)}</text>'
    )
    turn = f'transform="rotate(-90 14 {middle})"'
    parts.append(f'<text x="14" y="{middle}" text-anchor="middle" {turn}>{escape(chart.y)}</text>')
    return parts


def _place(chart: Chart, point: tuple[float, float]) -> tuple[float, float]:
    x = LEFT + min(point[0] / chart.most_x, 1.0) * (WIDE - LEFT - RIGHT)
    y = HIGH - BOTTOM - point[1] * (HIGH - BOTTOM - TOP)
    return round(x, 1), round(y, 1)


def _path(
    chart: Chart, points: Sequence[tuple[float, float]], colour: str, dashes: str = ""
) -> str:
    placed = dict.fromkeys(_place(chart, point) for point in points)
    words = " ".join(f"{x},{y}" for x, y in placed)
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<polyline points="{words}" fill="none" stroke="{colour}" stroke-width="2"{dashed}/>'


def _dot(chart: Chart, point: tuple[float, float], colour: str) -> str:
    x, y = _place(chart, point)
    return f'<circle cx="{x}" cy="{y}" r="3.5" fill="{colour}"/>'
