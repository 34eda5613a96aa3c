"""Run a network over decoded radiographs and judge what it says."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pipelines.chest_findings.arrays import SOURCES, TrainingArrays
from pipelines.chest_findings.cases import BoxLabel
from pipelines.chest_findings.codes import ABNORMAL, CHILD_PNEUMONIA, MAPPED, SCORES
from pipelines.chest_findings.network import highest_cells, map_scores
from pipelines.measuring.metrics import auc

AT_ONCE = 16
LEAST_READ = 3
"""Fewer films on which radiologists saw a finding say nothing of it."""
MIXES = (0.0, 0.25, 0.5, 1.0)


def run(
    network: nn.Module, exam: TrainingArrays
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Give score logits, scores of the maps, and map probabilities."""
    network.eval()
    device = next(network.parameters()).device
    scores, pooled, maps = [], [], []
    for start in range(0, len(exam.images), AT_ONCE):
        images = torch.from_numpy(exam.images[start : start + AT_ONCE]).to(device).float()[:, None]
        with torch.no_grad():
            told, places = network(
                (images / 127.5 - 1).contiguous(memory_format=torch.channels_last)
            )
            pooled.append(map_scores(places, highest_cells(places[0, 0].numel())).cpu().numpy())
        scores.append(told.cpu().numpy())
        maps.append(places.sigmoid().cpu().numpy())
    return np.concatenate(scores), np.concatenate(pooled), np.concatenate(maps)


def judge(network: nn.Module, exam: TrainingArrays) -> dict[str, float]:
    """Measure AUC per output, and how many map peaks lie inside their box."""
    scores, pooled, maps = run(network, exam)
    marks = auc_marks(scores, exam) | expert_marks(scores, exam)
    for mix in MIXES[1:]:
        mixed = auc_marks(mixed_scores(scores, pooled, mix), exam)
        marks[f"eight_mix_{mix}"] = mixed.get("eight", 0.0)
    hits = [
        peak_inside(maps[row, MAPPED.index(box.label)], box)
        for row, boxes in exam.boxes.items()
        for box in boxes
        if box.label in MAPPED
    ]
    if hits:
        marks["peaks"] = round(float(np.mean(hits)), 4)
    return marks | {"worth": round(worth(marks), 4)}


def auc_marks(scores: NDArray[np.float32], exam: TrainingArrays) -> dict[str, float]:
    """Measure AUC per score, and over the reported eight."""
    child = exam.sources == SOURCES.index("child")
    marks = {}
    for column, name in enumerate(SCORES):
        rows = child if name == CHILD_PNEUMONIA else ~child
        truth = exam.labels[rows, column]
        if 0 < truth.sum() < len(truth):
            marks[name] = round(auc(truth > 0, scores[rows, column].astype(np.float64)), 4)
    eight = [marks[name] for name in MAPPED if name in marks]
    if eight:
        marks["eight"] = round(float(np.mean(eight)), 4)
    return marks


def expert_marks(scores: NDArray[np.float32], exam: TrainingArrays) -> dict[str, float]:
    """Measure AUC against radiologists, per score and their mean."""
    marks = {}
    for column, name in enumerate(SCORES):
        known = ~np.isnan(exam.read[:, column])
        truth = exam.read[known, column] > 0
        if LEAST_READ <= truth.sum() < len(truth):
            told = scores[known, column].astype(np.float64)
            marks[f"read_{name}"] = round(auc(truth, told), 4)
    if marks:
        marks["read"] = round(float(np.mean(list(marks.values()))), 4)
    return marks


def mixed_scores(
    scores: NDArray[np.float32], pooled: NDArray[np.float32], mix: float
) -> NDArray[np.float32]:
    """Let each mapped finding's score listen to its map."""
    mixed = scores.copy()
    for row, name in enumerate(MAPPED):
        mixed[:, SCORES.index(name)] += np.float32(mix) * pooled[:, row]
    return mixed


def peak_inside(shares: NDArray[np.float32], box: BoxLabel) -> bool:
    """Say whether a map's highest cell has its centre inside a box."""
    row, column = np.unravel_index(int(shares.argmax()), shares.shape)
    y, x = (row + 0.5) / shares.shape[0], (column + 0.5) / shares.shape[1]
    return bool(box.x <= x <= box.x + box.width and box.y <= y <= box.y + box.height)


def worth(marks: dict[str, float]) -> float:
    """Weigh a judged step: radiologists and the eight findings of the reports, then the rest."""
    weights = {"read": 2.0, "eight": 1.0, ABNORMAL: 0.5, CHILD_PNEUMONIA: 0.5, "peaks": 0.2}
    return sum(weight * float(marks.get(name, 0.0)) for name, weight in weights.items())
