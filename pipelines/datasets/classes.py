"""A folder per class, with or without a folder per split."""

import re
from pathlib import Path

from dicom_node.domain.errors import BadSettings
from pipelines.datasets.picture import SUFFIXES
from pipelines.datasets.record import (
    ABNORMAL,
    CHILD_PNEUMONIA,
    FINDINGS,
    Record,
    held_out,
    split_of,
)

SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
NORMAL = ("normal", "nofinding", "healthy")
CHILD = re.compile(r"(person\d+)_(?:bacteria|virus)|(?:NORMAL2-)?(IM-\d+)-\d+")
"""File names of the paediatric set (Kermany et al., 2018); they carry the patient."""


def _word(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.lower())


LABELS = {_word(name): name for name in FINDINGS}


def class_folders(folder: Path) -> list[tuple[str | None, Path]]:
    """Find the class folders with their split (None: not split)."""
    below = sorted(path for path in folder.iterdir() if path.is_dir())
    splits = [(SPLITS[path.name.lower()], path) for path in below if path.name.lower() in SPLITS]
    found: list[tuple[str | None, Path]] = [
        (split, path) for split, parent in splits for path in sorted(parent.iterdir())
    ]
    found = found or [(None, path) for path in below]
    return [(split, path) for split, path in found if path.is_dir() and _known(path)]


def _known(path: Path) -> bool:
    return _word(path.name) in LABELS or _word(path.name) in NORMAL


def read_classes(folder: Path) -> tuple[Record, ...]:
    """Read `[train|val|test]/CLASS/*`; CLASS is NORMAL or a label of ChestX-ray14.

    A class says its own label; that an image lacks the other classes' labels is
    known only of a normal one. Patients are file names, or what stands before the
    last `_`; of the paediatric set their person. Raises BadSettings.
    """
    folders = class_folders(folder)
    if len({_word(path.name) for _, path in folders}) < 2:
        raise BadSettings(
            f"{folder}: two class folders are wanted, NORMAL and one or more of "
            f"{', '.join(FINDINGS)}, beside each other or below train/, val/ and test/"
        )
    named = {LABELS[_word(path.name)] for _, path in folders if _word(path.name) in LABELS}
    has_test = any(split == "test" for split, _ in folders)
    found = [
        _record(image, path.name, split, named, has_test)
        for split, path in folders
        for image in sorted(path.rglob("*"))
        if image.suffix.lower() in SUFFIXES
    ]
    if not found:
        raise BadSettings(f"{folder}: its class folders hold no image ({', '.join(SUFFIXES)})")
    return tuple(_once(found))


def _record(image: Path, name: str, split: str | None, named: set[str], has_test: bool) -> Record:
    normal = _word(name) in NORMAL
    child = CHILD.match(image.stem)
    person = (child.group(1) or child.group(2)) if child else image.stem.rpartition("_")[0]
    person = person or image.stem
    if child:
        labels = {CHILD_PNEUMONIA: not normal}
    elif normal:
        labels = dict.fromkeys(sorted(named), False) | {ABNORMAL: False}
    else:
        labels = {LABELS[_word(name)]: True, ABNORMAL: True}
    if split is None:
        split = split_of(person, has_test)
    elif split == "train" and held_out(person):
        split = "val"
    return Record(image, f"CLASS-{person}", split, "child" if child else "classes", labels)


def _once(records: list[Record]) -> list[Record]:
    """Keep each patient in one split, test before validation before training."""
    rank = {"train": 0, "val": 1, "test": 2}
    highest: dict[str, int] = {}
    for record in records:
        seen = highest.get(record.patient_id, 0)
        highest[record.patient_id] = max(seen, rank[record.split])
    return [record for record in records if rank[record.split] == highest[record.patient_id]]
