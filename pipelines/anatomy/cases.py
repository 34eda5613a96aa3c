"""The outlined radiographs, read from their table."""

from dataclasses import dataclass
from pathlib import Path

from pipelines.datasets.tables import read_own

LEAST_GREY_LEVELS = 30
"""Fewer grey levels inside the lungs than this: too poor to learn from."""


@dataclass(frozen=True, slots=True)
class Case:
    """One radiograph with its outlines.

    Two conventions exist: with `behind_heart` the lung mask covers the lung
    behind the heart too, else it ends at the heart's border.
    """

    image: Path
    lungs: Path
    heart: Path | None
    behind_heart: bool
    patient_id: str
    split: str
    view: str
    poor: bool


@dataclass(frozen=True, slots=True)
class Labelled:
    """A radiograph of ChestX-ray14 and whether its report names a large heart."""

    image: Path
    patient_id: str
    split: str
    view: str
    cardiomegaly: bool


def read_cases(folder: Path) -> tuple[Case, ...]:
    """Read the table of a data directory's `cxr` folder; BadSettings if missing."""
    return tuple(
        Case(
            image=folder / "cxr" / row["file"],
            lungs=folder / "cxr" / row["mask"],
            heart=folder / "cxr" / row["heart_mask"] if row["heart_mask"] else None,
            behind_heart=row["includes_behind_heart"] == "1",
            patient_id=row["patient_id"],
            split=row["split"],
            view=row["view"],
            poor=bool(row["grey_levels_in_lung"])
            and float(row["grey_levels_in_lung"]) < LEAST_GREY_LEVELS,
        )
        for row in read_own(folder, "lungs.csv")
    )


def read_labelled(folder: Path) -> tuple[Labelled, ...]:
    """Read the ChestX-ray14 images of full size with their Cardiomegaly label."""
    return tuple(
        Labelled(
            image=folder / "cxr" / row["file"],
            patient_id=row["patient_id"],
            split=row["split"],
            view=row["view"],
            cardiomegaly="Cardiomegaly" in row["nih_labels"].split("|"),
        )
        for row in read_own(folder, "manifest.csv")
        if row["file"].startswith("full/")
    )
