"""Run a network over decoded radiographs and judge what it says."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pipelines.measuring.metrics import Numbers, auc
from pipelines.pneumothorax.arrays import TrainingArrays
from pipelines.pneumothorax.network import evidence
from pipelines.training.loop import Marks, device_of, to_input

LEVELS = (0.2, 0.35, 0.5)
"""Where validation cuts the masks."""
MIXES = (0.0, 0.25, 0.5, 1.0)
"""How much the presence may listen to the mask's evidence."""


def judge(network: nn.Module, exam: TrainingArrays) -> Marks:
    """Measure AUC, and Dice on masked positives at several thresholds."""
    scores, sure, maps = answers(network, exam)
    phantom = np.zeros(len(scores), np.bool_)
    phantom[exam.groups.get("phantom", np.zeros(0, np.int64))] = True
    marks: Marks = {}
    for name, rows in (("", ~phantom), ("phantom_", phantom)):
        truth = exam.labels[rows, 0]
        if 0 < truth.sum() < len(truth):
            for mix in MIXES:
                told = auc(truth > 0, scores[rows] + mix * sure[rows])
                marks[f"{name}auc_mix_{mix:g}" if mix else f"{name}auc"] = round(told, 4)
        drawn = rows & (exam.has_mask > 0) & (exam.masks.sum(axis=(1, 2)) > 0)
        if drawn.any():
            for level in LEVELS:
                found = maps[drawn] > level
                overlap = (found & (exam.masks[drawn] > 0)).sum(axis=(1, 2))
                total = found.sum(axis=(1, 2)) + exam.masks[drawn].sum(axis=(1, 2))
                marks[f"{name}dice_{level}"] = round(float((2 * overlap / total).mean()), 4)
    return marks | {"worth": worth(marks)}


def answers(
    network: nn.Module, exam: TrainingArrays
) -> tuple[Numbers, Numbers, NDArray[np.float32]]:
    """Give presence logits, the masks' evidence, and mask probabilities."""
    network.eval()
    device = device_of(network)
    logits, sure, shares = [], [], []
    for start in range(0, len(exam.images), 8):
        images = torch.from_numpy(exam.images[start : start + 8]).to(device).float()[:, None] / 255
        with torch.no_grad():
            mask, label = network(to_input(images))
        logits.append(label[:, 0].double().cpu().numpy())
        sure.append(evidence(mask)[:, 0].double().cpu().numpy())
        shares.append(mask[:, 0].sigmoid().cpu().numpy())
    return np.concatenate(logits), np.concatenate(sure), np.concatenate(shares)


def worth(marks: Marks) -> float:
    """Weigh a judged step: AUC and the best Dice together; phantoms where nothing else is."""
    for name in ("", "phantom_"):
        if f"{name}auc" in marks:
            aucs = [value for key, value in marks.items() if key.startswith(f"{name}auc")]
            dices = [marks.get(f"{name}dice_{level}", 0.0) for level in LEVELS]
            return round(max(aucs) + max(dices), 4)
    return 0.0


def best_mix(network: nn.Module, exam: TrainingArrays) -> float:
    """Choose how much the presence listens to the mask: by AUC, the least that does best."""
    scores, sure, _ = answers(network, exam)
    truth = exam.labels[:, 0] > 0
    marks = {mix: round(auc(truth, scores + mix * sure), 3) for mix in MIXES}
    return max(marks, key=lambda mix: (marks[mix], -mix))
