"""The name by which configurations load pneumonia of adults."""

from pipelines.chest_findings.heads.pneumonia import USES, load

__all__ = ["USES", "load"]
