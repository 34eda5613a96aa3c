"""The radiographs to learn from, read from the tables."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dicom_node.domain.errors import BadSettings
from pipelines.datasets.catalogue import AUTO, OWN, detect, read_records
from pipelines.datasets.record import FINDINGS, Mask, Record

AUXILIARY = tuple(name for name in FINDINGS if name != "Pneumothorax")
"""The other ChestX-ray14 labels: a second task that only training sees."""

EXPERT_SOURCES = ("siim", "google", "box", "feedback")
WEAK_PRESENT = 0.75
WEAK_ABSENT = 0.08
"""A published classifier's output counts as a label beyond these."""


@dataclass(frozen=True, slots=True)
class Case:
    """One radiograph with what is known about it."""

    image: Path
    mask: Mask | None
    patient_id: str
    split: str
    present: bool
    source: str
    """siim, google, box, feedback (experts), nih_text (mined), classes, weak (a classifier)."""
    findings: tuple[str, ...] | None
    """Other ChestX-ray14 labels; None where they are unknown."""
    small: bool = False
    chest_tube: bool = False
    view: str = ""
    age: str = ""
    sex: str = ""
    chexnet: float | None = None

    @property
    def expert(self) -> bool:
        """Whether a radiologist labelled this image."""
        return self.source in EXPERT_SOURCES


def _manifest(folder: Path) -> Iterator[Case]:
    with (folder / "manifest.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            yield Case(
                image=folder / row["file"],
                mask=folder / row["mask"] if row["mask"] else None,
                patient_id=row["patient_id"],
                split=row["split"],
                present=row["pneumothorax"] == "1",
                source=row["label_source"],
                findings=tuple(row["nih_labels"].split("|")),
                small=row["file"].startswith("small/"),
                chest_tube=row["chest_tube"] == "True",
                view=row["view"],
                age=row.get("age", ""),
                sex=row.get("sex", ""),
                chexnet=_number(row["chexnet_pneumothorax"]),
            )


def _weak(folder: Path) -> Iterator[Case]:
    with (folder / "stage2.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            score = _number(row["weak_probability"])
            if score is None or row["same_radiograph_as"]:
                continue  # the same radiograph is in the manifest, with a better label
            if WEAK_ABSENT < score < WEAK_PRESENT:
                continue
            yield Case(
                image=folder / row["file"],
                mask=None,
                patient_id=row["patient_id"] or row["image_id"],
                split=row["split"],
                present=score >= WEAK_PRESENT,
                source="weak",
                findings=None,
            )


def _number(text: str) -> float | None:
    return float(text) if text else None


def from_record(record: Record) -> Case:
    """Make a case of a public data set's record that knows of a pneumothorax."""
    named = tuple(name for name in AUXILIARY if record.labels.get(name))
    return Case(
        image=record.image,
        mask=record.mask,
        patient_id=record.patient_id,
        split=record.split,
        present=record.labels["Pneumothorax"],
        source="nih_text" if record.source == "nih" else record.source,
        findings=named if set(AUXILIARY) <= record.labels.keys() else None,
        view=record.view,
        age=record.age,
        sex=record.sex,
    )


def read_cases(folder: Path, form: str = AUTO) -> tuple[Case, ...]:
    """Read every usable radiograph of a data directory, whatever its format.

    Raises BadSettings when no format fits, or a table is not there.
    """
    form = detect(folder) if form == AUTO else form
    if form != OWN:
        return tuple(from_record(one) for one in read_records(folder, form, ["Pneumothorax"]))
    tables = folder / "cxr"
    for name in ("manifest.csv", "stage2.csv"):
        if not (tables / name).is_file():
            raise BadSettings(f"--data {folder}: {tables / name} is missing")
    return (*_manifest(tables), *_weak(tables))


def judges(cases: Sequence[Case]) -> list[Case]:
    """Choose what validates: experts' labels, or all where a set has none."""
    found = [case for case in cases if case.split == "val" and not case.small]
    return [case for case in found if case.expert] or found
