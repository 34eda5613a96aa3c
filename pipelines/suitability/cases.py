"""Frontal chests to accept, and other pictures to reject."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from pipelines.datasets.tables import read_own

FAMILIES = {"hand_xray": "hand", "photo_junk": "photo"}
"""Kinds of `ood.csv` that show the same thing under two names."""
TEST_KINDS = ("other_modality", "nonchest_xray")
"""Pictures of files in `dicom/`, which only test."""
VALIDATION_SHARE = 0.1
"""Share of the Kermany training patients that validates: the table has no such split."""


@dataclass(frozen=True, slots=True)
class Frontal:
    """One frontal chest radiograph."""

    image: Path
    patient_id: str
    split: str
    source: str
    """nih, stage2, lungs or kermany."""


@dataclass(frozen=True, slots=True)
class Other:
    """One picture that is no frontal chest radiograph."""

    image: Path
    kind: str
    split: str


def read_frontals(folder: Path) -> tuple[Frontal, ...]:
    """Read the frontal radiographs of full size; BadSettings if a table is missing."""
    found = [
        Frontal(folder / "cxr" / row["file"], row["patient_id"], row["split"], "nih")
        for row in read_own(folder, "manifest.csv")
        if row["file"].startswith("full/")
    ]
    found += [
        Frontal(
            folder / "cxr" / row["file"],
            row["patient_id"] or row["image_id"],
            row["split"],
            "stage2",
        )
        for row in read_own(folder, "stage2.csv")
        if not row["same_radiograph_as"]
    ]
    found += [
        Frontal(folder / "cxr" / row["file"], row["patient_id"], row["split"], "lungs")
        for row in read_own(folder, "lungs.csv")
    ]
    kermany = read_own(folder, "kermany.csv")
    tested = {row["patient_id"] for row in kermany if row["split"] == "test"}
    for row in kermany:
        split = row["split"]
        if split == "train" and row["patient_id"] in tested:
            continue  # 43 numbers of persons stand on both sides of this table
        if split == "train" and _validates(row["patient_id"]):
            split = "val"
        found.append(Frontal(folder / "cxr" / row["file"], row["patient_id"], split, "kermany"))
    return tuple(found)


def read_others(folder: Path) -> tuple[Other, ...]:
    """Read the other pictures, split by a stated rule.

    Of each kind, by file name, the first half (rounded down) trains and the
    rest tests: neighbouring numbers are often of one patient. Pictures of files
    in `dicom/` test only.
    """
    kinds: dict[str, list[str]] = {}
    for row in read_own(folder, "ood.csv"):
        kinds.setdefault(FAMILIES.get(row["kind"], row["kind"]), []).append(row["file"])
    found = []
    for kind, files in sorted(kinds.items()):
        learning = 0 if kind in TEST_KINDS else len(files) // 2
        for number, file in enumerate(sorted(files)):
            split = "train" if number < learning else "test"
            found.append(Other(folder / "cxr" / file, kind, split))
    return tuple(found)


def _validates(patient_id: str) -> bool:
    return hashlib.sha256(patient_id.encode()).digest()[0] < 256 * VALIDATION_SHARE
