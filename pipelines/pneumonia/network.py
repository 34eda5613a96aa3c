"""The network: the one that the finding tasks share."""

from pipelines.chest_findings.network import ServedNet, TrunkNet

__all__ = ["ServedNet", "TrunkNet"]
