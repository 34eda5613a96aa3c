"""Measure a task's model: each task knows how."""

from collections.abc import Callable

from dicom_node.domain.errors import BadSettings
from pipelines.anatomy.evaluation import evaluate as anatomy
from pipelines.chest_findings.evaluation import evaluate as chest_findings
from pipelines.chest_findings.heads.evaluation import evaluate_abnormality, evaluate_pneumonia
from pipelines.pneumothorax.evaluation import evaluate as pneumothorax
from pipelines.suitability.evaluation import evaluate as suitability

EVALUATIONS: dict[str, Callable[[list[str]], int]] = {
    "abnormality": evaluate_abnormality,
    "anatomy": anatomy,
    "chest_findings": chest_findings,
    "pneumonia": evaluate_pneumonia,
    "pneumothorax": pneumothorax,
    "suitability": suitability,
}


def evaluate(arguments: list[str]) -> int:
    """Print the tables of a task's model; BadSettings for a task that has no evaluation."""
    task = arguments[0] if arguments else ""
    if task not in EVALUATIONS:
        raise BadSettings(f"evaluate {task}: no such task; known are {', '.join(EVALUATIONS)}")
    return EVALUATIONS[task](arguments[1:])
