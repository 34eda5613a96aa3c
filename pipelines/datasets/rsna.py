"""RSNA Pneumonia Detection: DICOM files and a table of boxes."""

from collections import defaultdict
from pathlib import Path

from dicom_node.domain.errors import BadSettings
from pipelines.datasets.picture import find_images, read_header
from pipelines.datasets.record import ABNORMAL, BoxLabel, Record, split_of
from pipelines.datasets.tables import read_table

LABELS, CLASSES = "stage_2_train_labels.csv", "stage_2_detailed_class_info.csv"
COLUMNS = ("patientId", "x", "y", "width", "height", "Target")
NORMAL = "Normal"


def read_rsna(folder: Path) -> tuple[Record, ...]:
    """Read boxes and targets; images lie anywhere below `folder`.

    `stage_2_detailed_class_info.csv`, where it is there, says which images are
    normal: no pneumonia is not yet normal. Raises BadSettings.
    """
    table = folder / LABELS
    if not table.is_file():
        raise BadSettings(f"{folder}: {table} is missing; get it from the RSNA challenge")
    boxes: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    for line, row in enumerate(read_table(table, COLUMNS), start=2):
        name = row["patientId"]
        boxes[name] += [_box(table, line, row)] if row["Target"] == "1" else []
    classes: dict[str, str] = {}
    if (folder / CLASSES).is_file():
        rows = read_table(folder / CLASSES, ("patientId", "class"))
        classes = {row["patientId"]: row["class"] for row in rows}
    files = find_images(folder)
    found = [
        _record(files[name], name, pixels, classes.get(name))
        for name, pixels in boxes.items()
        if name in files
    ]
    if not found:
        raise BadSettings(f"{folder}: none of the images of {LABELS} is there")
    return tuple(found)


def _box(table: Path, line: int, row: dict[str, str]) -> tuple[float, ...]:
    try:
        return tuple(float(row[name]) for name in ("x", "y", "width", "height"))
    except ValueError:
        raise BadSettings(
            f"{table}, line {line}: Target is 1, but x,y,width,height is no box"
        ) from None


def _record(path: Path, name: str, pixels: list[tuple[float, ...]], told: str | None) -> Record:
    header = read_header(path)
    labels = {"Pneumonia": bool(pixels)}
    if told is not None:
        labels[ABNORMAL] = told != NORMAL
    patient = header.patient_id or name
    return Record(
        image=path,
        patient_id=f"RSNA-{patient}",
        split=split_of(patient),
        source="rsna",
        labels=labels,
        boxes=tuple(
            BoxLabel(
                "Pneumonia",
                x / header.columns,
                y / header.rows,
                width / header.columns,
                height / header.rows,
            )
            for x, y, width, height in pixels
        ),
        view=header.view,
        age=header.age,
        sex=header.sex,
    )
