"""The original ChestX-ray14 as the NIH publishes it."""

import csv
from collections import defaultdict
from pathlib import Path

from dicom_node.domain.errors import BadSettings
from pipelines.datasets.picture import find_images
from pipelines.datasets.record import ABNORMAL, FINDINGS, BoxLabel, Record, split_of
from pipelines.datasets.tables import read_list, read_table

ENTRIES, BOXES = "Data_Entry_2017*.csv", "BBox_List_2017*.csv"
TRAIN_LIST, TEST_LIST = "train_val_list*.txt", "test_list*.txt"
NO_FINDING = "No Finding"
RENAMED = {"Infiltrate": "Infiltration"}
"""The box table's spelling, where it is not that of the labels."""
BOX_SIDE = 1024
"""Boxes count pixels of the published files, which are square."""
COLUMNS = ("Image Index", "Finding Labels", "Patient ID", "View Position", "Patient Age")


def read_nih(folder: Path) -> tuple[Record, ...]:
    """Read `Data_Entry_2017*.csv` and, where it is there, `BBox_List_2017*.csv`.

    Images lie anywhere below `folder` (the NIH packs them as images_001/images/).
    `test_list.txt` names the official test images, `train_val_list.txt` the others;
    without them, and for the validation split, patients are chosen by their number.
    Raises BadSettings.
    """
    entries = _table(folder, ENTRIES)
    if entries is None:
        raise BadSettings(f"{folder}: {folder / ENTRIES} is missing; get it from the NIH")
    files = {path.name: path for path in find_images(folder).values()}
    boxes = _read_boxes(_table(folder, BOXES))
    test, listed = (_list(folder, pattern) for pattern in (TEST_LIST, TRAIN_LIST))
    found = []
    for line, row in enumerate(read_table(entries, COLUMNS), start=2):
        name = row["Image Index"]
        if name not in files or (test and listed and name not in test | listed):
            continue  # a part of the set is a set, too
        if not row["Patient ID"].isdecimal():
            raise BadSettings(
                f"{entries}, line {line}: Patient ID {row['Patient ID']!r}, no number"
            )
        patient = f"NIH-{int(row['Patient ID']):08d}"
        found.append(
            Record(
                image=files[name],
                patient_id=patient,
                split="test" if name in test else split_of(patient, has_test=bool(test)),
                source="nih",
                labels=mined(row["Finding Labels"]),
                boxes=tuple(boxes[name]),
                view=row["View Position"],
                age=row["Patient Age"],
                sex=row.get("Patient Gender", row.get("Patient Sex", "")),
            )
        )
    if not found:
        raise BadSettings(f"{folder}: none of the images of {entries.name} is there")
    return tuple(found)


def mined(text: str) -> dict[str, bool]:
    """Read words joined by `|`: what a report does not name counts as absent."""
    named = set(text.split("|"))
    return {name: name in named for name in FINDINGS} | {ABNORMAL: NO_FINDING not in named}


def _table(folder: Path, pattern: str) -> Path | None:
    return next(iter(sorted(folder.glob(pattern))), None)


def _list(folder: Path, pattern: str) -> set[str]:
    path = _table(folder, pattern)
    return read_list(path) if path else set()


def _read_boxes(path: Path | None) -> dict[str, list[BoxLabel]]:
    """Read boxes by image; the header's names are broken over columns as published."""
    found: dict[str, list[BoxLabel]] = defaultdict(list)
    if path is not None:
        with path.open(newline="") as file:
            for line, (name, label, *numbers) in enumerate(list(csv.reader(file))[1:], start=2):
                try:
                    x, y, width, height = (float(text) / BOX_SIDE for text in numbers[:4])
                except ValueError:
                    raise BadSettings(f"{path}, line {line}: four numbers are wanted") from None
                found[name].append(BoxLabel(RENAMED.get(label, label), x, y, width, height))
    return found
