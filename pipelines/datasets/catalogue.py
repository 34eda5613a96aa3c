"""Which format a folder is in, and its records."""

from collections.abc import Callable, Collection
from pathlib import Path

from dicom_node.domain.errors import BadSettings
from pipelines.datasets import classes, feedback, nih, rsna, siim
from pipelines.datasets.record import Record

AUTO, OWN = "auto", "cxr"
"""`cxr`: the tables of this project's own data folder, which each task reads itself."""
READERS: dict[str, Callable[[Path], tuple[Record, ...]]] = {
    "feedback": feedback.read_feedback,
    "nih": nih.read_nih,
    "rsna": rsna.read_rsna,
    "siim": siim.read_siim,
    "classes": classes.read_classes,
}
FORMATS = (AUTO, OWN, *READERS)


def detect(folder: Path) -> str:
    """Tell a folder's format by the files in it; BadSettings if none fits."""
    if not folder.is_dir():
        raise BadSettings(f"--data {folder}: no such folder")
    signs = {
        OWN: (folder / "cxr").is_dir(),
        "feedback": (folder / feedback.TABLE).is_file(),
        "nih": any(folder.glob(nih.ENTRIES)),
        "rsna": (folder / rsna.LABELS).is_file(),
        "siim": bool(siim.find_tables(folder)),
        "classes": bool(classes.class_folders(folder)),
    }
    for name, there in signs.items():
        if there:
            return name
    raise BadSettings(
        f"--data {folder}: no known format. Wanted is cxr/manifest.csv (cxr), {nih.ENTRIES} (nih), "
        f"{rsna.LABELS} (rsna), a CSV with {','.join(siim.COLUMNS)} (siim), {feedback.TABLE} "
        "(feedback), or folders NORMAL/, PNEUMONIA/ ... (classes)"
    )


def read_records(folder: Path, form: str, wanted: Collection[str]) -> tuple[Record, ...]:
    """Read the records that say something of the `wanted` labels; BadSettings if none does."""
    found = READERS[form](folder)
    kept = tuple(record for record in found if any(name in record.labels for name in wanted))
    if not kept:
        raise BadSettings(
            f"--data {folder}: this set ({form}) says nothing of {', '.join(sorted(wanted))}; "
            "name a set that does"
        )
    return kept
