"""A run's curves as one SVG picture."""

from pathlib import Path

from matplotlib.figure import Figure

from pipelines.training.rundir import read_log

PARTS = {"event", "step", "progress"}
"""Words of a step's line that are no loss."""


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
    figure = Figure(figsize=(6.4, 6.0), layout="constrained")
    panels = {"loss, all parts": losses, "validation: worth": worth}
    for axes, (name, points) in zip(figure.subplots(2, 1), panels.items(), strict=True):
        axes.set(title=name, xlabel="step")
        axes.plot(*zip(*points, strict=True), marker="." if len(points) < 3 else "")
    path = out / "curves.svg"
    figure.savefig(path)
    return path


def _number(value: object) -> float:
    return float(str(value))
