"""The name by which configurations load normal or abnormal."""

from pipelines.chest_findings.heads.abnormality import load

__all__ = ["load"]
