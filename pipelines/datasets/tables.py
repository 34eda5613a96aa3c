"""CSV tables, opened so that errors name file and remedy."""

import csv
from collections.abc import Collection
from pathlib import Path

from dicom_node.domain.errors import BadSettings


def read_table(path: Path, columns: Collection[str]) -> list[dict[str, str]]:
    """Read a table by its (trimmed) headings; BadSettings when a column is missing."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file)
        heads = [name.strip() for name in next(reader, [])]
        missing = [name for name in columns if name not in heads]
        if missing:
            raise BadSettings(
                f"{path}: column {', '.join(missing)} is missing; restore the published table"
            )
        return [dict(zip(heads, (text.strip() for text in row), strict=False)) for row in reader]


def read_own(folder: Path, name: str) -> list[dict[str, str]]:
    """Read a table of this project's own data folder; BadSettings if it is missing."""
    table = folder / "cxr" / name
    if not table.is_file():
        raise BadSettings(f"--data {folder}: {table} is missing")
    with table.open(newline="") as file:
        return list(csv.DictReader(file))


def headings(path: Path) -> list[str]:
    """Give a table's (trimmed) headings."""
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        return [name.strip() for name in next(csv.reader(file), [])]


def read_list(path: Path) -> set[str]:
    """Read a list of names; an absent file is an empty one."""
    return set(path.read_text(encoding="utf-8").split()) if path.is_file() else set()
