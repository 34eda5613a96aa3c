"""Read a child's chest radiograph for pneumonia."""

from pathlib import Path

from pipelines.chest_findings.head import Head
from pipelines.chest_findings.heads import pneumonia
from pipelines.chest_findings.reading import open_model

NAME = "pneumonia_paediatric"


def load(models_dir: Path, device: str = "auto", threads: int = 0) -> Head:
    """Load the model of `models_dir`/pneumonia, for children; BadSettings if unfit."""
    model = open_model(models_dir, pneumonia.NAME, device, threads)
    return pneumonia.head_on(model, NAME, pneumonia.CHILD, pneumonia.CHILD_HEAD)
