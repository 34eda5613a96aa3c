"""What any data set says of one radiograph."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

VALIDATION_PERCENT, TEST_PERCENT = 15, 15
"""Shares of the patients that a set without splits gives up for each."""
ABNORMAL = "Abnormal"
"""Whether anything at all was found; the sets' own words are "No Finding", "Normal"."""
CHILD_PNEUMONIA = "Child_Pneumonia"
"""Pneumonia of a child's radiograph: a score of its own."""
FINDINGS = (
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
"""The labels of ChestX-ray14, whose spelling all readers answer in."""


@dataclass(frozen=True, slots=True)
class BoxLabel:
    """An expert's box; left, top, width, height as shares of the image."""

    label: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Runs:
    """A mask in SIIM-ACR's run lengths, one text per region."""

    texts: tuple[str, ...]
    rows: int
    columns: int


Mask = Path | Runs


@dataclass(frozen=True, slots=True)
class Record:
    """One radiograph of a data set."""

    image: Path
    patient_id: str
    split: str
    """train, val or test; one patient is in one of them."""
    source: str
    """siim, nih, rsna, classes, child or feedback."""
    labels: Mapping[str, bool] = field(default_factory=dict)
    """What is known to be there (True) or not (False), by name; the rest is unknown."""
    boxes: tuple[BoxLabel, ...] = ()
    mask: Mask | None = None
    """The pneumothorax, outlined."""
    view: str = ""
    age: str = ""
    sex: str = ""


def held_out(patient_id: str, percent: int = VALIDATION_PERCENT) -> bool:
    """Choose validation patients by their identifier: the same on every run."""
    return zlib.crc32(patient_id.encode()) % 100 < percent


def split_of(patient_id: str, has_test: bool = False) -> str:
    """Give a patient's split; with `has_test` the set names its test images itself."""
    if held_out(patient_id):
        return "val"
    if not has_test and held_out(patient_id, VALIDATION_PERCENT + TEST_PERCENT):
        return "test"
    return "train"
