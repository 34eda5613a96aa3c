"""Score a chest radiograph: normal or abnormal."""

from pathlib import Path

from dicom_node.domain import codes
from dicom_node.domain.findings import Finding
from pipelines.chest_findings.codes import ABNORMAL
from pipelines.chest_findings.head import Head, LabelAnswer, checked
from pipelines.chest_findings.reading import open_model

NAME = "abnormality"
CODE = codes.ABNORMAL
SITE = codes.CHEST
LABEL = ABNORMAL
"""The column of the shared network."""
FOR_ORDER = "a score for the order of a worklist: it names no disease, and low is not normal"


def load(models_dir: Path, device: str = "auto", threads: int = 0) -> Head:
    """Load the model of `models_dir`/abnormality; BadSettings if unfit."""
    model = open_model(models_dir, NAME, device, threads)
    return checked(Head(model, NAME, (LABEL,), _find, (FOR_ORDER,)))


def _find(answer: LabelAnswer) -> Finding:
    return Finding(
        code=CODE,
        presence=answer.presence,
        probability=answer.probability,
        operating_point=answer.point,
        site=SITE,
    )
