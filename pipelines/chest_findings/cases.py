"""The radiographs to learn from, read from the tables."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pipelines.chest_findings.codes import ABNORMAL, CHILD_PNEUMONIA, MINED, NO_FINDING, SCORES
from pipelines.datasets.catalogue import AUTO, OWN, detect, read_records
from pipelines.datasets.nih import BOX_SIDE
from pipelines.datasets.record import BoxLabel, Record, held_out
from pipelines.datasets.tables import read_own
from pipelines.datasets.truth import Reading, read_by_radiologists, read_readings

__all__ = ["BoxLabel", "Case", "from_record", "mined_labels", "read_cases", "read_labels"]

EXPERT_SOURCES = ("siim", "google", "box")
EXPERT_FORMATS = ("siim", "feedback")


@dataclass(frozen=True, slots=True)
class Case:
    """One radiograph with what is known about it."""

    image: Path
    patient_id: str
    split: str
    source: str
    """full, small (NIH copies of 448 and 128 px), child (Kermany), or a public format's name."""
    labels: tuple[float, ...]
    """One of 0, 1 or NaN (unknown) for every score."""
    boxes: tuple[BoxLabel, ...] = ()
    view: str = ""
    age: str = ""
    sex: str = ""
    reading: Reading | None = None
    """What radiologists and networks say of it, where the tables tell."""
    expert: bool = False
    """Whether a radiologist said if there is a pneumothorax."""
    pneumothorax: bool = False
    aspect_known: bool = True
    seen: bool = False
    """A test image whose person number occurs in the training data as well."""

    def has(self, name: str) -> bool:
        """Whether the label is known to be there."""
        return self.labels[SCORES.index(name)] == 1


def mined_labels(findings: set[str]) -> tuple[float, ...]:
    """Make scores' labels of ChestX-ray14's words."""
    values = {name: float(name in findings) for name in MINED}
    values[ABNORMAL] = float(NO_FINDING not in findings)
    return tuple(values.get(name, float("nan")) for name in SCORES)


def read_labels(case: Case) -> list[float]:
    """Give what radiologists saw: 0, 1, or NaN where they did not read."""
    seen = read_by_radiologists(case.reading) if case.reading else {}
    return [float(seen[name]) if name in seen else float("nan") for name in SCORES]


def child_labels(pneumonia: bool) -> tuple[float, ...]:
    """Make scores' labels of a child's radiograph: one is known."""
    return tuple(float(pneumonia) if name == CHILD_PNEUMONIA else float("nan") for name in SCORES)


def _adults(folder: Path) -> Iterator[Case]:
    tables = folder / "cxr"
    readings = read_readings(tables / "nih_extra_labels.csv")
    for row in read_own(folder, "manifest.csv"):
        yield Case(
            image=tables / row["file"],
            patient_id=row["patient_id"],
            split=row["split"],
            source=row["file"].partition("/")[0],
            labels=mined_labels(set(row["nih_labels"].split("|"))),
            boxes=_boxes(row),
            view=row["view"],
            age=row["age"],
            sex=row["sex"],
            reading=_reading(row, readings.get(row["image_id"], Reading())),
            expert=row["label_source"] in EXPERT_SOURCES,
            pneumothorax=row["pneumothorax"] == "1",
        )


def _reading(row: dict[str, str], known: Reading) -> Reading:
    """Add what the first table says: the report's words, and who saw a pneumothorax."""
    told = {}
    if row["label_source"] in EXPERT_SOURCES:
        told["Pneumothorax"] = row["pneumothorax"] == "1"
    score = row["chexnet_pneumothorax"]
    taught = {"Pneumothorax": float(score)} if score else {}
    return replace(
        known,
        text=frozenset(row["nih_labels"].split("|")),
        adjudicated={**known.adjudicated, **told},
        teacher={**taught, **known.teacher},
    )


def _boxes(row: dict[str, str]) -> tuple[BoxLabel, ...]:
    if not row["boxes"]:
        return ()
    # The table says pixels of `source_width`, but where that is a thumbnail's 128
    # the boxes still count pixels of the published files.
    return tuple(
        BoxLabel(label, x / BOX_SIDE, y / BOX_SIDE, width / BOX_SIDE, height / BOX_SIDE)
        for label, x, y, width, height in json.loads(row["boxes"])
    )


def _children(folder: Path) -> Iterator[Case]:
    for row in read_own(folder, "kermany.csv"):
        split = row["split"]
        if split == "train" and held_out(row["patient_id"]):
            split = "val"
        yield Case(
            image=folder / "cxr" / row["file"],
            patient_id=row["patient_id"],
            split=split,
            source="child",
            labels=child_labels(row["pneumonia"] == "1"),
            aspect_known="aspect ratio lost" not in row["note"],
            seen="occurs in train" in row["note"],
        )


def from_record(record: Record) -> Case:
    """Make a case of a public data set's record."""
    labels = tuple(float(record.labels.get(name, float("nan"))) for name in SCORES)
    return Case(
        image=record.image,
        patient_id=record.patient_id,
        split=record.split,
        source=record.source,
        labels=labels,
        boxes=record.boxes,
        view=record.view,
        age=record.age,
        sex=record.sex,
        expert=record.source in EXPERT_FORMATS and "Pneumothorax" in record.labels,
        pneumothorax=record.labels.get("Pneumothorax", False),
    )


def read_cases(folder: Path, form: str = AUTO) -> tuple[Case, ...]:
    """Read every labelled radiograph of a data directory, whatever its format.

    Raises BadSettings when no format fits, or a table is not there.
    """
    form = detect(folder) if form == AUTO else form
    if form != OWN:
        return tuple(from_record(record) for record in read_records(folder, form, SCORES))
    return (*_adults(folder), *_children(folder))
