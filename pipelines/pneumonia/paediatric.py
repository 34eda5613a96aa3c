"""Read a child's chest radiograph for pneumonia."""

from pathlib import Path

from pipelines.chest_findings.reading import open_model
from pipelines.chest_findings.task import LabelledPipeline
from pipelines.pneumonia import codes, pipeline

NAME = "pneumonia_paediatric"


def load(models_dir: Path, device: str = "auto", threads: int = 0) -> LabelledPipeline:
    """Load the model of `models_dir`/pneumonia, for children; BadSettings if unfit."""
    model = open_model(models_dir, pipeline.NAME, device, threads)
    return pipeline.task_on(model, NAME, codes.CHILD, codes.CHILD_HEAD)
