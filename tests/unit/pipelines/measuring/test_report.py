"""The figures against their definitions, and the report that shows them."""

import itertools
import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dicom_node.domain.errors import BadSettings
from dicom_node.domain.findings import OperatingPoint
from pipelines.measuring import metrics
from pipelines.measuring.binary import Scored, at_point, beside, figures
from pipelines.measuring.curves import Chart, Line
from pipelines.measuring.report import (
    BEGIN,
    END,
    Miss,
    Report,
    card_block,
    finish,
    parse,
    tables,
    write_card,
)
from pipelines.tools.evaluate import evaluate
from tests.support.paths import ROOT

MODELS = ROOT / "models"
TRAIN = "pages need dicom-node[train]"
TASKS = sorted(path.parent.name for path in MODELS.glob("*/model.toml"))


def told(count: int = 60, seed: int = 3) -> Scored:
    """A reader that is right more often than not; two images a patient."""
    draw = np.random.default_rng(seed)
    truth = draw.random(count) < 0.4
    shares = np.clip(0.3 * truth + 0.5 * draw.random(count), 0, 1)
    return Scored(truth, shares, [f"p{row // 2}" for row in range(count)])


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.integers(0, 5)), min_size=8),
)
def test_delong_is_its_definition(rows: list[tuple[bool, int, int]]) -> None:
    truth = np.array([row[0] for row in rows])
    if min(truth.sum(), (~truth).sum()) < 2:
        return
    scores = [np.array([float(row[column]) for row in rows]) for column in (1, 2)]

    def wins(high: float, low: float) -> float:
        return 1.0 if high > low else 0.5 if high == low else 0.0

    tens, ones = [], []
    for one in scores:
        pairs = np.array([[wins(p, n) for n in one[~truth]] for p in one[truth]])
        tens.append(pairs.mean(axis=1))
        ones.append(pairs.mean(axis=0))
    spread = np.cov(np.stack(tens)) / truth.sum() + np.cov(np.stack(ones)) / (~truth).sum()
    error = max(spread[0, 0] + spread[1, 1] - 2 * spread[0, 1], 0.0) ** 0.5
    found = metrics.delong(truth, *scores)
    gap = tens[0].mean() - tens[1].mean()
    assert found.difference.value == pytest.approx(gap, abs=1e-12)
    assert found.difference.high - gap == pytest.approx(1.96 * error, abs=1e-6)
    assert 0 <= found.p_value <= 1


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4)), min_size=2))
def test_curves_are_counts_at_every_threshold(rows: list[tuple[bool, int]]) -> None:
    truth, scores = np.array([r[0] for r in rows]), np.array([float(r[1]) for r in rows])
    if not 0 < truth.sum() < len(truth):
        return
    wrong, right = metrics.roc(truth, scores)
    assert np.trapezoid(right, wrong) == pytest.approx(metrics.auc(truth, scores))
    recall, precision = metrics.precision_recall(truth, scores)
    thresholds = sorted(set(scores), reverse=True)
    for place, threshold in enumerate(thresholds):
        called = scores >= threshold
        assert recall[place] == pytest.approx(called[truth].mean())
        assert precision[place] == pytest.approx(truth[called].mean())
    steps = [r - before for before, r in itertools.pairwise([0.0, *recall])]
    expected = sum(step * p for step, p in zip(steps, precision, strict=True))
    assert metrics.average_precision(truth, scores) == pytest.approx(expected)


def test_decisions_at_a_threshold() -> None:
    truth = np.array([True] * 4 + [False] * 16)
    shares = np.array([0.9, 0.8, 0.7, 0.1] + [0.95] * 4 + [0.05] * 12)
    found = at_point(Scored(truth, shares, [str(row) for row in range(20)]), 0.5, 0.1)
    assert found["sensitivity"]["value"] == 0.75  # type: ignore[index]
    assert found["specificity"]["value"] == 0.75  # type: ignore[index]
    assert (found["ppv"], found["npv"]) == (round(3 / 7, 4), round(12 / 13, 4))
    assert found["f1"] == round(6 / 11, 4)
    assert found["ppv at 10.0%"] == round(0.075 / (0.075 + 0.9 * 0.25), 4)
    mask = np.zeros((4, 4), np.bool_)
    mask[:2] = True
    assert metrics.iou(mask, mask.T) == pytest.approx(4 / 12)


def test_a_reader_beside_itself_does_not_differ() -> None:
    reader = told()
    same = beside(reader, reader.probabilities)
    assert same["difference (DeLong)"]["value"] == 0.0  # type: ignore[index]
    assert same["p (DeLong)"] == 1.0
    coin = np.random.default_rng(9).random(len(reader.truth))
    other = beside(reader, coin)
    assert other["difference (bootstrap)"]["low"] > 0  # type: ignore[index]
    assert other["p (DeLong)"] < 0.05  # type: ignore[operator]
    few = Scored(reader.truth[:3], reader.probabilities[:3], reader.patients[:3])
    assert "too few" in beside(few, coin[:3])


def test_a_chart_shows_its_curves() -> None:
    draw = pytest.importorskip("pipelines.measuring.page", reason=TRAIN).draw
    chart = Chart("A & B", "x", "y", [Line("one", [(0, 0), (1, 1)], dots=True)], diagonal=True)
    drawn = ElementTree.fromstring(draw(chart))  # noqa: S314 - our own
    texts = ["".join(one.itertext()).strip() for one in drawn.iter() if one.tag.endswith("text")]
    assert {"A & B", "x", "y", "one"} <= set(texts)
    colours = {"#0072b2", "#999999"}
    lines = [one.get("style", "") for one in drawn.iter() if one.tag.endswith("path")]
    assert all(any(f"stroke: {colour}" in line for line in lines) for colour in colours)


def report(image: Path | None) -> Report:
    points = {"balanced": OperatingPoint("balanced", 0.5, 0.9, 0.9)}
    miss = Miss("a<b>.jpg", "p=0.01", image, np.eye(40, dtype=np.bool_))
    lines = [Line("this", [(0.0, 0.0), (1.0, 1.0)])]
    groups = {"all": figures(told(), points, 0.03), "few": {"images": 3}}
    chart = Chart("ROC", "a", "b", lines)
    return Report("task", "1.0", "ab" * 32, "test", groups, [chart], [miss])


def test_the_page_needs_nothing_else_and_shows_radiographs_only_when_asked(
    tmp_path: Path,
) -> None:
    image = tmp_path / "film.png"

    Image.fromarray(np.arange(1600, dtype=np.uint16).reshape(40, 40).astype(np.uint8)).save(image)
    page_of = pytest.importorskip("pipelines.measuring.page", reason=TRAIN).page
    found = report(image)
    shown, bare = (page_of(found, tables(found.groups), shown) for shown in (True, False))
    for page in (shown, bare):
        assert "a&lt;b&gt;.jpg" in page
        assert not re.findall(r'(?:src|href)="(?!data:|#)', page)
        assert not re.findall(r"url\((?!#)|@import", page)
    assert "data:image/jpeg" in shown
    assert "data:image" not in bare


def test_a_release_writes_tables_page_and_card(tmp_path: Path) -> None:
    pytest.importorskip("pipelines.measuring.page", reason=TRAIN)
    options = parse("task", ["--data", "x", "--models", str(tmp_path), "--release"], None)
    folder = tmp_path / "task"
    folder.mkdir()
    card = folder / "CARD.md"
    card.write_text(f"# Card\n\n{BEGIN}\nstale\n{END}\n\n## More\n")
    finish(report(None), options)
    text = card.read_text()
    assert "stale" not in text
    assert text.startswith("# Card\n") and text.endswith("## More\n")
    assert "| all | 60 |" in text and "| all, balanced | 0.500 |" in text
    assert json.loads((folder / "evaluation.json").read_text())["misses"] == [
        ["a<b>.jpg", "p=0.01"]
    ]
    assert (folder / "evaluation.html").exists()
    card.write_text("# Card without marks\n")
    with pytest.raises(BadSettings, match="evaluation: begin"):
        write_card(folder)


@pytest.mark.parametrize("task", TASKS)
def test_every_figure_of_a_card_is_one_of_the_evaluation(task: str) -> None:
    text = (MODELS / task / "CARD.md").read_text()
    assert text.split(BEGIN)[1].split(END)[0].strip() == card_block(MODELS / task).strip()
    told = json.loads((MODELS / task / "evaluation.json").read_text())
    contract = (MODELS / task / "model.toml").read_text()
    assert f'sha256 = "{told["sha256"]}"' in contract
    assert f'version = "{told["model"]}"' in contract
    page = (MODELS / task / "evaluation.html").read_text()
    assert told["sha256"] in page
    assert "data:image" not in page  # the radiographs are not ours


def test_an_unknown_task_is_named() -> None:
    for task in ("nosuch", "datasets", ""):
        with pytest.raises(BadSettings, match=f"evaluate {task}"):
            evaluate([task] if task else [])
