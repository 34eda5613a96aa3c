"""The radiographs to learn from, read from the tables."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipelines.datasets.catalogue import AUTO, OWN, detect, read_records
from pipelines.datasets.record import FINDINGS, Mask, Record
from pipelines.datasets.tables import read_own
from pipelines.datasets.truth import Reading, read_readings

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
    """siim, google, box, feedback (experts), nih_text (mined), classes, weak (a classifier),
    agreed (two networks)."""
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
    tables = folder / "cxr"
    readings = read_readings(tables / "nih_extra_labels.csv")
    for row in read_own(folder, "manifest.csv"):
        if _doubtful(row, readings.get(row["image_id"], Reading())):
            continue
        yield Case(
            image=tables / row["file"],
            mask=tables / row["mask"] if row["mask"] else None,
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


def _doubtful(row: dict[str, str], reading: Reading) -> bool:
    """Say whether a report names no pneumothorax where a cleaned label has one.

    Such films teach nothing; what validates or judges stays as it is.
    """
    mined = row["label_source"] == "nih_text" and row["pneumothorax"] == "0"
    return row["split"] == "train" and mined and "Pneumothorax" in (reading.relabelled or ())


def _stage2(folder: Path) -> Iterator[Case]:
    """Read the stage 2 films that an ensemble of segmenting networks and a classifier agree on.

    Without the ensemble's table the classifier's extremes are labels of their own.
    """
    tables, ensemble = folder / "cxr", "stage2_segmentation.csv"
    rows = read_own(folder, ensemble) if (tables / ensemble).is_file() else []
    drawn = {row["image_id"]: row for row in rows}
    for row in read_own(folder, "stage2.csv"):
        found = _agreed(tables, row, drawn[row["image_id"]]) if drawn else _weak(tables, row)
        # A radiograph of the manifest has a better label there, but seldom a mask.
        if found is not None and (found.mask is not None or not row["same_radiograph_as"]):
            yield found


def _agreed(folder: Path, row: dict[str, str], drawn: dict[str, str]) -> Case | None:
    if drawn["agreement"] not in ("positive", "negative"):
        return None
    case = _stage2_case(folder, row, drawn["agreement"] == "positive", "agreed")
    return replace(case, mask=folder / drawn["mask"] if case.present else None)


def _weak(folder: Path, row: dict[str, str]) -> Case | None:
    score = _number(row["weak_probability"])
    if score is None or WEAK_ABSENT < score < WEAK_PRESENT:
        return None
    return _stage2_case(folder, row, score >= WEAK_PRESENT, "weak")


def _stage2_case(folder: Path, row: dict[str, str], present: bool, source: str) -> Case:
    return Case(
        image=folder / row["file"],
        mask=None,
        patient_id=row["patient_id"] or row["image_id"],
        split=row["split"],
        present=present,
        source=source,
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
        return tuple(from_record(record) for record in read_records(folder, form, ["Pneumothorax"]))
    return (*_manifest(folder), *_stage2(folder))


def judges(cases: Sequence[Case]) -> list[Case]:
    """Choose what validates: experts' labels, or all where a set has none."""
    found = [case for case in cases if case.split == "val" and not case.small]
    return [case for case in found if case.expert] or found
