"""The concepts and words that this task reports with."""

from dataclasses import dataclass

from dicom_node.domain import codes
from dicom_node.domain.findings import CodedConcept

MINED = (
    "Atelectasis",
    "Cardiomegaly",
    "Consolidation",
    "Edema",
    "Effusion",
    "Emphysema",
    "Fibrosis",
    "Hernia",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pleural_Thickening",
    "Pneumonia",
    "Pneumothorax",
)
"""The labels of ChestX-ray14 in the network's order."""
ABNORMAL = "Abnormal"
CHILD_PNEUMONIA = "Child_Pneumonia"
SCORES = (*MINED, ABNORMAL, CHILD_PNEUMONIA)
"""What the shared network scores, one column each."""
NO_FINDING = "No Finding"


@dataclass(frozen=True, slots=True)
class Reported:
    """One reported finding: its concept, its site, whether it has a side."""

    name: str
    code: CodedConcept
    site: CodedConcept
    has_side: bool = True


REPORTED = (
    Reported("Atelectasis", codes.ATELECTASIS, codes.LUNG),
    Reported("Cardiomegaly", codes.CARDIOMEGALY, codes.HEART, has_side=False),
    Reported("Effusion", codes.PLEURAL_EFFUSION, codes.PLEURA),
    Reported("Infiltration", codes.RADIOLOGIC_INFILTRATE, codes.LUNG),
    Reported("Mass", codes.MASS, codes.LUNG),
    Reported("Nodule", codes.NODULE, codes.LUNG),
    Reported("Pneumonia", codes.PNEUMONIA, codes.LUNG),
    Reported("Pneumothorax", codes.PNEUMOTHORAX, codes.PLEURA),
)
"""The eight findings that ChestX-ray14 has expert boxes of: a map each."""
MAPPED = tuple(finding.name for finding in REPORTED)

BOXES_ARE_COARSE = "boxes show where the score comes from; they are coarse"
OUTSIDE = "the box of {} lies outside the rib cage as outlined: doubtful"
AP_VIEW = "AP view: the heart looks larger and sensitivity is lower than on PA radiographs"
NO_ORIENTATION = "no patient orientation: the side is undetermined"
