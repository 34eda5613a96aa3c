"""SIIM-ACR Pneumothorax: DICOM files and a CSV of run lengths."""

from collections import defaultdict
from pathlib import Path

from dicom_node.domain.errors import BadSettings
from pipelines.datasets.picture import find_images, read_header
from pipelines.datasets.record import Record, Runs, split_of
from pipelines.datasets.rle import NONE, pairs
from pipelines.datasets.tables import headings, read_table

COLUMNS = ("ImageId", "EncodedPixels")


def find_tables(folder: Path) -> list[Path]:
    """Find the tables of run lengths in a folder."""
    return [path for path in sorted(folder.glob("*.csv")) if {*COLUMNS} <= {*headings(path)}]


def read_siim(folder: Path) -> tuple[Record, ...]:
    """Read `ImageId,EncodedPixels` tables; images lie anywhere below `folder`.

    An image has one row per region, or one of -1. Patients come from the DICOM
    header where it has them. Raises BadSettings.
    """
    tables = find_tables(folder)
    if not tables:
        raise BadSettings(f"{folder}: no CSV with the columns {','.join(COLUMNS)} (train-rle.csv)")
    texts: dict[str, list[str]] = defaultdict(list)
    for table in tables:
        for line, row in enumerate(read_table(table, COLUMNS), start=2):
            if row["EncodedPixels"] != NONE:
                _check(table, line, row["EncodedPixels"])
            texts[row["ImageId"]].append(row["EncodedPixels"])
    files = find_images(folder)
    found = [
        _record(files[name], name, regions) for name, regions in texts.items() if name in files
    ]
    if not found:
        raise BadSettings(f"{folder}: none of the images of {tables[0].name} is there")
    return tuple(found)


def _check(table: Path, line: int, text: str) -> None:
    try:
        pairs(text)
    except BadSettings as error:
        raise BadSettings(f"{table}, line {line}: EncodedPixels {error}") from None


def _record(path: Path, name: str, regions: list[str]) -> Record:
    header = read_header(path)
    texts = tuple(text for text in dict.fromkeys(regions) if text != NONE)
    patient = header.patient_id or name
    return Record(
        image=path,
        patient_id=f"SIIM-{patient}",
        split=split_of(patient),
        source="siim",
        labels={"Pneumothorax": bool(texts)},
        mask=Runs(texts, header.rows, header.columns) if texts else None,
        view=header.view,
        age=header.age,
        sex=header.sex,
    )
