"""An evaluation's tables: on the terminal, as JSON, as a page, in the model card."""

# ruff: noqa: T201 -- a command prints its result

import argparse
import importlib.util
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dicom_node.domain.errors import BadSettings
from dicom_node.share import MODELS
from pipelines.measuring.curves import Chart

BEGIN, END = "<!-- evaluation: begin -->", "<!-- evaluation: end -->"
MISSES = 12
Groups = Mapping[str, Mapping[str, object]]


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


@dataclass(frozen=True, slots=True)
class Report:
    """All that one evaluation found."""

    name: str
    version: str
    sha256: str
    split: str
    groups: Groups
    charts: Sequence[Chart] = ()
    misses: Sequence[Miss] = field(default=())


def parse(task: str, arguments: list[str], words: str | None) -> argparse.Namespace:
    """Read the options that every task's evaluation takes."""
    parser = argparse.ArgumentParser(prog=f"dicom-node evaluate {task}", description=words)
    parser.add_argument("--data", type=Path, required=True, help="folder of a data set")
    parser.add_argument("--models", type=Path, default=MODELS, help="folder of model folders")
    parser.add_argument("--split", choices=["train", "val", "test"], default="test")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--prevalence", type=float, default=0.03, help="of the PPV that is stated")
    parser.add_argument("--json", type=Path, help="write the tables there, too")
    parser.add_argument("--out", type=Path, help="folder for the page, with the worst misses shown")
    parser.add_argument(
        "--release", action="store_true", help="write tables, page and card in the model's folder"
    )
    options = parser.parse_args(arguments)
    if (options.out or options.release) and not importlib.util.find_spec("matplotlib"):
        raise BadSettings("--out, --release: a page needs pip install 'dicom-node[train]'")
    if not 0 < options.prevalence < 1:
        raise BadSettings(f"--prevalence {options.prevalence}: a share between 0 and 1")
    return options


def finish(report: Report, options: argparse.Namespace) -> None:
    """Print the tables and write what the options ask for."""
    print(f"{report.name} {report.version} on split {report.split!r}")
    for group, found in report.groups.items():
        print(f"\n{group}")
        for name, value in found.items():
            print(f"  {name:24} {in_words(value)}")
    if options.json:
        options.json.write_text(as_json(report))
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        _write_page(options.out, report, shown=True)
        print(f"\n{options.out / 'evaluation.html'}")
    if options.release:
        folder = options.models / report.name
        (folder / "evaluation.json").write_text(as_json(report))
        _write_page(folder, report, shown=False)
        write_card(folder)


def _write_page(folder: Path, report: Report, shown: bool) -> None:
    # imported here: figures alone need no [train]
    from pipelines.measuring.page import page

    html = page(report, tables(report.groups), shown)
    (folder / "evaluation.html").write_text(html, encoding="utf-8")


def as_json(report: Report) -> str:
    """Give the tables as JSON."""
    told = {
        "model": report.version,
        "sha256": report.sha256,
        "split": report.split,
        "groups": report.groups,
        "misses": [[miss.file, miss.words] for miss in report.misses],
    }
    return json.dumps(told, indent=2) + "\n"


def write_card(folder: Path) -> None:
    """Put the figures of `evaluation.json` between the card's two marks; BadSettings if none."""
    path = folder / "CARD.md"
    text = path.read_text(encoding="utf-8")
    if BEGIN not in text or END not in text:
        raise BadSettings(f"{path}: the lines {BEGIN} and {END} are missing")
    head, tail = text.split(BEGIN)[0], text.split(END)[1]
    path.write_text(f"{head}{BEGIN}\n{card_block(folder)}\n{END}{tail}", encoding="utf-8")


def card_block(folder: Path) -> str:
    """Give the card's figures, made of `evaluation.json` alone."""
    told = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
    parts = []
    for head, *rows in tables(told["groups"]):
        lines = [head, tuple("---" for _ in head), *rows]
        parts.append("\n".join(f"| {' | '.join(line)} |" for line in lines))
    return "\n\n".join(parts)


def tables(groups: Groups) -> list[list[tuple[str, ...]]]:
    """Lay the groups out as tables: groups with the same figures share one.

    Figures that have figures of their own (operating points) get a row each.
    """
    found: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
    for group, name, figures in _rows(groups):
        keys = tuple(figures)
        table = found.setdefault(keys, [("", *keys)])
        label = f"{group}, {name}" if name else group
        table.append((label, *(in_words(value, short=True) for value in figures.values())))
    return list(found.values())


def _rows(groups: Groups) -> Iterator[tuple[str, str, Mapping[str, object]]]:
    for group, found in groups.items():
        plain = {name: value for name, value in found.items() if not _is_point(value)}
        if plain:
            yield group, "", plain
        for name, value in found.items():
            if isinstance(value, dict) and _is_point(value):
                yield group, name, value


def _is_point(value: object) -> bool:
    return isinstance(value, dict) and "low" not in value


def in_words(value: object, *, short: bool = False) -> str:
    """Write one figure."""
    if isinstance(value, dict) and "low" in value:
        limits = f"{value['low']:.3f} to {value['high']:.3f}"
        told = f"{value['value']:.3f} ({limits if short else '95 % CI ' + limits})"
        more = [f"{number} {name}" for name, number in value.items() if name not in KNOWN]
        return ", ".join([told, *more])
    if isinstance(value, dict):
        return ", ".join(f"{name} {in_words(figure, short=True)}" for name, figure in value.items())
    return f"{value:.3f}" if isinstance(value, float) else str(value)


KNOWN = ("value", "low", "high")
"""What an estimate has; anything else of it is told in words."""
