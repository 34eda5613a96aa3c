"""Train a task's network; the heads of one network are trained together."""

from collections.abc import Callable

from dicom_node.domain.errors import BadSettings
from pipelines.anatomy.train import train as anatomy
from pipelines.chest_findings.train import train as chest_findings
from pipelines.pneumothorax.train import train as pneumothorax
from pipelines.suitability.train import train as suitability

TRAININGS: dict[str, Callable[[list[str]], int]] = {
    "abnormality": chest_findings,
    "anatomy": anatomy,
    "chest_findings": chest_findings,
    "pneumonia": chest_findings,
    "pneumothorax": pneumothorax,
    "suitability": suitability,
}


def train(arguments: list[str]) -> int:
    """Train a task's network; BadSettings for a task that has none."""
    task = arguments[0] if arguments else ""
    if task not in TRAININGS:
        raise BadSettings(f"train {task}: no such task; known are {', '.join(TRAININGS)}")
    return TRAININGS[task](arguments[1:])
