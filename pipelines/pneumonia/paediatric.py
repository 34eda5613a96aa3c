"""Read a child's chest radiograph for pneumonia."""

from dataclasses import replace
from pathlib import Path

from pipelines.pneumonia import codes, pipeline

NAME = "pneumonia_paediatric"


def load(models_dir: Path, device: str = "auto", threads: int = 0) -> pipeline.PneumoniaPipeline:
    """Load the model of `models_dir`/pneumonia, for children; BadSettings if unfit."""
    return replace(pipeline.load(models_dir, device, threads), name=NAME, head=codes.CHILD)
