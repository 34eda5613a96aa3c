"""Finds and removes archive files that no row knows.

Such a file is left when a process dies between storing and recording. The same
bytes may arrive again at any moment, and storing them renames a fresh file to the
same key: so age is asked of the very file that is removed, not of the name.
"""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

from dicom_node.domain.errors import TryAgain

SPOOL = ".spool"
"""The folder below the archive's root where files are that have no key yet, or no more."""


def old_keys(root: Path, before: float) -> Iterator[str]:
    """Give the keys of files under `root` written before `before` (POSIX seconds)."""
    for folder, folders, names in os.walk(root):
        if SPOOL in folders:
            folders.remove(SPOOL)
        for name in names:
            path = Path(folder) / name
            if _written_at(path) < before:
                yield path.relative_to(root).as_posix()


def delete_old(root: Path, key: str, before: float) -> bool:
    """Remove the file if it is still the old one; say whether it was.

    Raises TryAgain when the file system refuses.
    """
    path = root / key
    if _written_at(path) >= before:
        return False
    aside = root / SPOOL / f"{uuid.uuid4().hex}.part"
    try:
        aside.parent.mkdir(parents=True, exist_ok=True)
        path.rename(aside)
        if _written_at(aside) >= before:  # stored anew since we looked: put it back
            os.link(aside, path)
            aside.unlink()
            return False
        aside.unlink()
    except FileNotFoundError:
        return False
    except FileExistsError:  # stored anew once more: that file serves
        aside.unlink(missing_ok=True)
        return False
    except OSError as error:
        raise TryAgain(f"archive: {error.strerror}") from error
    return True


def _written_at(path: Path) -> float:
    """Give the time of writing; a file that is gone counts as new."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return float("inf")
