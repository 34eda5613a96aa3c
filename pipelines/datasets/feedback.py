"""Corrected cases of a site: `cases.jsonl` beside its images.

One JSON object per line:

    {"image": "a/1.dcm", "patient_id": "P1", "findings": {"Pneumothorax": "present"},
     "mask": "a/1-mask.png", "reader": "AB", "read_at": "2026-11-20"}

`image` and `mask` are files below the folder: DICOM, PNG or JPEG; a mask is a
PNG of the image's shape (white: pneumothorax) or the node's DICOM SEG, corrected.
`findings` says "present" or "absent" of labels of ChestX-ray14, of "Abnormal" or
of "Child_Pneumonia"; what is not named is unknown. `boxes` may list
["Mass", left, top, width, height] in pixels. `mask`, `boxes`, `view` are optional.
"""

import datetime
import json
from pathlib import Path

from dicom_node.domain.errors import BadSettings
from pipelines.datasets.picture import SUFFIXES, read_header
from pipelines.datasets.record import (
    ABNORMAL,
    CHILD_PNEUMONIA,
    FINDINGS,
    BoxLabel,
    Record,
    split_of,
)

TABLE = "cases.jsonl"
REQUIRED = {"image", "patient_id", "findings", "reader", "read_at"}
OPTIONAL = {"mask", "boxes", "view"}
LABELS = {*FINDINGS, ABNORMAL, CHILD_PNEUMONIA}
WORDS = {"present": True, "absent": False}


def read_feedback(folder: Path) -> tuple[Record, ...]:
    """Read a folder of corrected cases; BadSettings names file, line and remedy."""
    table = folder / TABLE
    if not table.is_file():
        raise BadSettings(f"{folder}: {table} is missing; write one JSON object per case into it")
    found = []
    for number, line in enumerate(table.read_text(encoding="utf-8").splitlines(), start=1):
        if line.strip():
            try:
                found.append(_record(folder, json.loads(line)))
            except json.JSONDecodeError as error:
                raise BadSettings(f"{table}, line {number}: no JSON ({error})") from None
            except BadSettings as error:
                raise BadSettings(f"{table}, line {number}: {error}") from None
    if not found:
        raise BadSettings(f"{table}: holds no case")
    return tuple(found)


def _record(folder: Path, row: object) -> Record:
    if not isinstance(row, dict):
        raise BadSettings("must be a JSON object")
    missing, unknown = REQUIRED - row.keys(), row.keys() - REQUIRED - OPTIONAL
    if missing or unknown:
        words = [f"{key} is missing" for key in sorted(missing)]
        words += [f"{key} is unknown" for key in sorted(unknown)]
        raise BadSettings("; ".join(words))
    patient, _ = _text(row, "patient_id"), _text(row, "reader")
    try:
        datetime.date.fromisoformat(_text(row, "read_at")[:10])
    except ValueError:
        raise BadSettings(f"read_at is {row['read_at']!r}; want a date like 2026-11-20") from None
    image = _file(folder, row["image"], "image")
    labels = _labels(row["findings"])
    mask = _file(folder, row["mask"], "mask") if "mask" in row else None
    if mask is not None and not labels.get("Pneumothorax"):
        raise BadSettings('a mask needs "Pneumothorax": "present" in findings')
    header = read_header(image)
    return Record(
        image=image,
        patient_id=f"SITE-{patient}",
        # A site's own test images belong into a folder of their own, see `models promote`.
        split=split_of(patient, has_test=True),
        source="feedback",
        labels=labels,
        boxes=_boxes(row.get("boxes", []), header.rows, header.columns),
        mask=mask,
        view=str(row.get("view", header.view)),
        age=header.age,
        sex=header.sex,
    )


def _text(row: dict[str, object], key: str) -> str:
    value = row[key]
    if not isinstance(value, str) or not value:
        raise BadSettings(f"{key} must be a text")
    return value


def _file(folder: Path, name: object, key: str) -> Path:
    if not isinstance(name, str) or Path(name).suffix.lower() not in SUFFIXES:
        raise BadSettings(f"{key} must name a file ({', '.join(SUFFIXES)})")
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
        raise BadSettings(f"{key} {name!r}: no such file below {folder}")
    return path


def _labels(found: object) -> dict[str, bool]:
    if not isinstance(found, dict) or not found:
        raise BadSettings('findings must be like {"Pneumothorax": "absent"}')
    for name, word in found.items():
        if name not in LABELS:
            raise BadSettings(f"finding {name!r} is unknown; known are {', '.join(sorted(LABELS))}")
        if word not in WORDS:
            raise BadSettings(f'{name} is {word!r}; want "present" or "absent"')
    return {name: WORDS[word] for name, word in found.items()}


def _boxes(rows: object, high: int, wide: int) -> tuple[BoxLabel, ...]:
    if not isinstance(rows, list):
        raise BadSettings("boxes must be a list")
    found = []
    for row in rows:
        match row:
            case [str(name), *numbers] if (
                name in LABELS
                and len(numbers) == 4
                and all(isinstance(number, int | float) for number in numbers)
            ):
                x, y, width, height = numbers
                found.append(BoxLabel(name, x / wide, y / high, width / wide, height / high))
            case _:
                raise BadSettings(f"box {row!r}: want [label, left, top, width, height] in pixels")
    return tuple(found)
