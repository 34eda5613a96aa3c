"""Radiographs of another hospital: wards and intensive care in Hannover."""

from pathlib import Path

from pipelines.datasets.record import Record
from pipelines.datasets.tables import read_own

TABLE = "hannover.csv"


def read_elsewhere(folder: Path) -> tuple[Record, ...]:
    """Read the films of another hospital that no task has learned from; none without a table.

    Films that also stand among the outlined lungs are left out. All patients had
    COVID-19; nothing else is known of them, so they show how scores shift.
    """
    if not (folder / "cxr" / TABLE).is_file():
        return ()
    return tuple(
        Record(
            image=folder / "cxr" / row["file"],
            patient_id=f"Hannover-{row['patient_id']}",
            split="test",
            source="hannover",
            view=row["projection"].upper(),
            sex=row["sex"].upper(),
        )
        for row in read_own(folder, TABLE)
        if row["in_shared_lungs"] == "0"
    )
