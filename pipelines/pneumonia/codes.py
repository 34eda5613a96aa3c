"""The concepts and words that this task reports with."""

from dicom_node.domain.codes import LUNG, PNEUMONIA
from pipelines.chest_findings.codes import CHILD_PNEUMONIA

CODE = PNEUMONIA
SITE = LUNG
ADULT = "Pneumonia"
CHILD = CHILD_PNEUMONIA
"""Columns of the shared network; both are labels of this task's model.toml."""
MAP = "Pneumonia"
SEGMENT_LABEL = "Pneumonia (region that the score comes from)"

ADULT_HEAD = "scored as an adult's radiograph; for children route to pneumonia_paediatric"
CHILD_HEAD = "scored as a child's radiograph"
REGION_IS_COARSE = "the region shows where the score comes from; it is no outline of the disease"
