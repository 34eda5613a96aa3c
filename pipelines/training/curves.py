"""A run's curves as one SVG picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pipelines.training.rundir import read_log

WIDE, HIGH, MARGIN = 640, 300, 40
PARTS = {"event", "step", "progress"}
"""Words of a step's line that are no loss."""

Points = Sequence[tuple[float, float]]


def write_curves(out: Path) -> Path:
    """Draw the losses' sum and validation's worth by step into `curves.svg`."""
    lines = read_log(out)
    losses = [
        (_number(line["step"]), sum(_number(line[key]) for key in line if key not in PARTS))
        for line in lines
        if line["event"] == "step"
    ]
    worth = [
        (_number(line["step"]), _number(line["worth"]))
        for line in lines
        if line["event"] == "judged"
    ]
    panels = {"loss, all parts": losses, "validation: worth": worth}
    path = out / "curves.svg"
    path.write_text(_picture(panels), encoding="utf-8")
    return path


def _number(value: object) -> float:
    return float(str(value))


def _picture(panels: Mapping[str, Points]) -> str:
    drawn = [
        f'<g transform="translate(0 {number * HIGH})">{_panel(name, points)}</g>'
        for number, (name, points) in enumerate(panels.items())
    ]
    size = f'width="{WIDE}" height="{HIGH * len(panels)}"'
    style = 'font-family="sans-serif" font-size="12" fill="#333"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>\n'
        + "\n".join(drawn)
        + "\n</svg>\n"
    )


def _panel(name: str, points: Points) -> str:
    title = f'<text x="{MARGIN}" y="20">{name}</text>'
    if not points:
        return f'{title}<text x="{MARGIN}" y="60">none yet</text>'
    (left, right), (low, high) = ((min(axis), max(axis)) for axis in zip(*points, strict=True))

    def place(x: float, y: float) -> str:
        across = MARGIN + (x - left) / max(right - left, 1e-9) * (WIDE - 2 * MARGIN)
        down = HIGH - MARGIN - (y - low) / max(high - low, 1e-9) * (HIGH - 2 * MARGIN)
        return f"{across:.1f},{down:.1f}"

    line = " ".join(place(x, y) for x, y in points)
    frame = (
        f'<rect x="{MARGIN}" y="{MARGIN}" width="{WIDE - 2 * MARGIN}" '
        f'height="{HIGH - 2 * MARGIN}" fill="none" stroke="#bbb"/>'
    )
    words = (
        f'<text x="4" y="{MARGIN + 4}">{high:.3g}</text><text x="4" y="{HIGH - MARGIN}">{low:.3g}'
        f'</text><text x="{MARGIN}" y="{HIGH - 20}">step {left:g}</text>'
        f'<text x="{WIDE - MARGIN}" y="{HIGH - 20}" text-anchor="end">{right:g}</text>'
    )
    curve = f'<polyline points="{line}" fill="none" stroke="#2060a0" stroke-width="1.5"/>'
    return title + frame + words + curve
