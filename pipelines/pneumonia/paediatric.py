"""The name by which configurations load pneumonia of children."""

from pipelines.chest_findings.heads.paediatric import load

__all__ = ["load"]
