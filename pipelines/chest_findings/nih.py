"""The original ChestX-ray14 as the NIH publishes it."""

import csv
from collections import defaultdict
from pathlib import Path

from dicom_node.domain.errors import BadSettings
from pipelines.chest_findings.cases import BOX_SIDE, BoxLabel, Case, held_out, mined_labels

ENTRIES, BOXES = "Data_Entry_2017.csv", "BBox_List_2017.csv"
TEST_LIST = "test_list.txt"
RENAMED = {"Infiltrate": "Infiltration"}
"""The box table's spelling, where it is not that of the labels."""


def read_nih(folder: Path) -> tuple[Case, ...]:
    """Read `Data_Entry_2017.csv` and, where it is there, `BBox_List_2017.csv`.

    Images lie anywhere below `folder` (the NIH packs them as images_001/images/).
    `test_list.txt` names the official test images; without it, and for the
    validation split, patients are chosen by their number. Raises BadSettings.
    """
    if not (folder / ENTRIES).is_file():
        raise BadSettings(f"--nih {folder}: {folder / ENTRIES} is missing")
    files = {path.name: path for path in folder.rglob("*.png")}
    boxes = _read_boxes(folder / BOXES)
    test = _read_list(folder / TEST_LIST)
    cases = []
    with (folder / ENTRIES).open(newline="") as file:
        for row in csv.DictReader(file):
            name = row["Image Index"]
            if name not in files:
                continue  # a part of the set is a set, too
            patient = f"NIH-{int(row['Patient ID']):08d}"
            cases.append(
                Case(
                    image=files[name],
                    patient_id=patient,
                    split=_split(name, patient, test),
                    source="nih",
                    labels=mined_labels(set(row["Finding Labels"].split("|"))),
                    boxes=tuple(boxes[name]),
                    view=row["View Position"],
                    age=row["Patient Age"],
                    sex=row.get("Patient Gender", row.get("Patient Sex", "")),
                )
            )
    if not cases:
        raise BadSettings(f"--nih {folder}: none of the images of {ENTRIES} is there")
    return tuple(cases)


def _split(name: str, patient: str, test: set[str]) -> str:
    if name in test:
        return "test"
    return "val" if held_out(patient) else "train"


def _read_list(path: Path) -> set[str]:
    return set(path.read_text().split()) if path.is_file() else set()


def _read_boxes(path: Path) -> dict[str, list[BoxLabel]]:
    """Read boxes by image; the header's names are broken over columns as published."""
    found: dict[str, list[BoxLabel]] = defaultdict(list)
    if path.is_file():
        with path.open(newline="") as file:
            for name, label, *numbers in list(csv.reader(file))[1:]:
                x, y, width, height = (float(text) / BOX_SIDE for text in numbers[:4])
                found[name].append(BoxLabel(RENAMED.get(label, label), x, y, width, height))
    return found
