"""Every task trains on a few real radiographs, from command to model folder."""

import csv
import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from pipelines.anatomy import pipeline as anatomy
from pipelines.chest_findings import pipeline as chest_findings
from pipelines.chest_findings.heads import abnormality, pneumonia
from pipelines.pneumothorax import pipeline as pneumothorax
from pipelines.suitability import pipeline as suitability

pytest.importorskip("torch", reason="training needs dicom-node[train]")

FEW = ["--steps", "2", "--size", "64", "--judge-every", "2", "--threads", "1", "--phantoms", "2"]
ALIKE = {
    "manifest.csv": ("split", "pneumothorax", "boxes", "mask", "label_source"),
    "stage2.csv": ("split", "same_radiograph_as"),
    "kermany.csv": ("split", "pneumonia"),
    "lungs.csv": ("split", "heart_mask", "includes_behind_heart"),
    "ood.csv": ("kind",),
}
"""Columns whose kinds of values shall all occur; of long texts whether there is one."""


def kind(row: dict[str, str], columns: Sequence[str]) -> tuple[str | bool, ...]:
    texts = [row[column] for column in columns]
    return tuple(
        bool(text) if column in ("boxes", "mask", "heart_mask", "same_radiograph_as") else text
        for column, text in zip(columns, texts, strict=True)
    )


@pytest.fixture(scope="module")
def few(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shared folder with tables of a few rows of each kind."""
    folder = tmp_path_factory.mktemp("few")
    (folder / "cxr").mkdir()
    (folder / "weights").symlink_to(shared / "weights")
    for path in (shared / "cxr").iterdir():
        if path.is_dir():
            (folder / "cxr" / path.name).symlink_to(path)
    for name, columns in ALIKE.items():
        with (shared / "cxr" / name).open(newline="") as file:
            rows = list(csv.DictReader(file))
        seen: Counter[tuple[str | bool, ...]] = Counter()
        with (folder / "cxr" / name).open("w", newline="") as file:
            table = csv.DictWriter(file, rows[0].keys())
            table.writeheader()
            for row in rows:
                seen[kind(row, columns)] += 1
                if seen[kind(row, columns)] <= 4:
                    table.writerow(row)
    return folder


def trained(train: Callable[[list[str]], int], few: Path, out: Path, *words: str) -> Path:
    assert train(["--data", str(few), "--out", str(out), *FEW, *words]) == 0
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line["event"] == "judged"] == [2]
    assert next(line for line in lines if line["event"] == "ready")["learning"] > 8
    return out / "models"


@pytest.mark.data
def test_pneumothorax(few: Path, tmp_path: Path) -> None:
    from pipelines.pneumothorax.train import train

    models = trained(train, few, tmp_path, "--equalise", "0.3")
    assert all(check.ok for check in pneumothorax.load(models, "cpu").verify())


@pytest.mark.data
def test_the_finding_tasks(few: Path, tmp_path: Path) -> None:
    from pipelines.chest_findings.train import train

    models = trained(train, few, tmp_path, "--equalise", "0.3")
    for task in (chest_findings, pneumonia, abnormality):
        assert all(check.ok for check in task.load(models, "cpu").verify())


@pytest.mark.data
def test_anatomy(few: Path, tmp_path: Path) -> None:
    from pipelines.anatomy.train import train

    models = trained(train, few, tmp_path)
    assert all(check.ok for check in anatomy.load(models, "cpu").verify())


@pytest.mark.data
def test_suitability(few: Path, tmp_path: Path) -> None:
    from pipelines.suitability.train import train

    models = trained(train, few, tmp_path)
    assert all(check.ok for check in suitability.load(models, "cpu").verify())
