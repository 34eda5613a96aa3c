"""The detector head that the maps are compared with."""

from pathlib import Path

import numpy as np
import pytest

from dicom_node.domain.findings import Box
from pipelines.chest_findings.cases import BoxLabel, Case
from pipelines.chest_findings.codes import MAPPED, SCORES
from pipelines.chest_findings.readings import marked_boxes, recall_at

torch = pytest.importorskip("torch", reason="training needs torch: make setup-train")
pytest.importorskip("segmentation_models_pytorch", reason="training needs it: make setup-train")


def case(*boxes: BoxLabel) -> Case:
    """An image with expert boxes of which the report names the finding, too."""
    labels = [0.0] * len(SCORES)
    for box in boxes:
        labels[SCORES.index(box.label)] = 1.0
    return Case(Path("none"), "p", "train", "full", tuple(labels), boxes)


def test_the_head_learns_where_a_bump_is() -> None:
    from pipelines.chest_findings import detector

    torch.manual_seed(0)
    side, count = 12, 48
    draw = np.random.default_rng(4)
    places = 0.1 * torch.randn(count, detector.WIDTH, side, side)
    heat = torch.zeros(count, len(MAPPED), side, side)
    size, centres = torch.zeros(count, 2, side, side), torch.zeros(count, 1, side, side)
    spots = draw.integers(1, side - 1, (count, 2))
    for number, (y, x) in enumerate(spots):
        places[number, :8, y, x] += 3.0
        heat[number, 4, y, x] = 1.0
        size[number, :, y, x] = torch.tensor([0.3, 0.2])
        centres[number, 0, y, x] = 1.0
    weight = torch.ones(count, len(MAPPED), 1, 1)
    head = detector._train(detector.Lessons(places, heat, weight, size, centres), 40)
    with torch.no_grad():
        found, wide = head(places)
    told = detector.peaks(found.sigmoid().numpy(), wide.numpy())
    best = {row: box for (row, name), box in sorted(told, key=lambda one: one[1].score)}
    names = {row: name for (row, name), box in sorted(told, key=lambda one: one[1].score)}
    right = [
        abs(best[row].x + best[row].width / 2 - (x + 0.5) / side) < 1 / side
        and abs(best[row].y + best[row].height / 2 - (y + 0.5) / side) < 1 / side
        and names[row] == MAPPED[4]
        for row, (y, x) in enumerate(spots)
    ]
    assert np.mean(right) > 0.9
    assert best[0].width == pytest.approx(0.3, abs=0.1)


def test_told_boxes_meet_the_expert_s_once() -> None:
    expert = BoxLabel("Mass", 0.2, 0.2, 0.2, 0.2)
    near, far = Box(0.21, 0.2, 0.2, 0.2, 0.9), Box(0.7, 0.7, 0.1, 0.1, 0.5)
    again = Box(0.2, 0.21, 0.2, 0.2, 0.8)
    told = [((0, "Mass"), far), ((0, "Mass"), near), ((0, "Mass"), again), ((0, "Nodule"), near)]
    found = marked_boxes([case(expert)], told)
    assert sorted(found.met.tolist()) == [-1, -1, -1, 0]
    assert found.met[int(np.argmax(found.scores))] in (0, -1)
    assert recall_at(found, np.arange(1), 4.0) == 1.0
