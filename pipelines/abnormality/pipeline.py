"""Score a chest radiograph: normal or abnormal."""

from pathlib import Path

from dicom_node.domain.findings import Finding
from pipelines.abnormality import codes
from pipelines.chest_findings.reading import open_model
from pipelines.chest_findings.task import LabelledPipeline, Said, open_task

NAME = "abnormality"


def load(models_dir: Path, device: str = "auto", threads: int = 0) -> LabelledPipeline:
    """Load the model of `models_dir`/abnormality; BadSettings if unfit."""
    model = open_model(models_dir, NAME, device, threads)
    return open_task(LabelledPipeline(model, NAME, (codes.LABEL,), _find, (codes.FOR_ORDER,)))


def _find(said: Said) -> Finding:
    return Finding(
        code=codes.CODE,
        presence=said.presence,
        probability=said.probability,
        operating_point=said.point,
        site=codes.SITE,
    )
