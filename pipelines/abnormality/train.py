"""Train this task: the shared network of the finding tasks, all at once."""

from pipelines.chest_findings.train import train

__all__ = ["train"]
