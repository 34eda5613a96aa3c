"""The concepts and words that this task reports with."""

from dicom_node.domain import codes
from pipelines.chest_findings.codes import ABNORMAL

CODE = codes.ABNORMAL
SITE = codes.CHEST
LABEL = ABNORMAL
"""The column of the shared network."""
FOR_ORDER = "a score for the order of a worklist: it names no disease, and low is not normal"
