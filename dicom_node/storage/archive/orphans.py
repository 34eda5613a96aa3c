"""Finds archive files that no row knows, and sets them aside.

Such a file is left when a process dies between storing and recording, or is one
that a restored database has forgotten: so none is deleted at once. The same bytes
may arrive again at any moment, and storing them renames a fresh file to the same
key: so age is asked of the very file that is moved, not of the name.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from dicom_node.domain.errors import TryAgain

SPOOL = ".spool"
"""The folder below the archive's root where files are that have no key yet."""
ASIDE = ".aside"
"""The folder of files that no row knows; a reader that misses one looks there."""
IDENTITY = ".identity"
"""The file that holds the word by which the database knows its archive."""
ASIDE_S = 30 * 86_400.0
"""How long they stay there, in seconds."""


def old_keys(root: Path, before: float) -> Iterator[str]:
    """Give the keys of files under `root` written before `before` (POSIX seconds)."""
    for folder, folders, names in os.walk(root):
        folders[:] = [folder for folder in folders if folder not in (SPOOL, ASIDE)]
        for name in names:
            path = Path(folder) / name
            if path == root / IDENTITY:
                continue
            if _written_at(path) < before:
                yield path.relative_to(root).as_posix()


def set_aside(root: Path, key: str, before: float) -> bool:
    """Move the file aside if it is still the old one; say whether it was.

    Raises TryAgain when the file system refuses.
    """
    path, aside = root / key, root / ASIDE / key
    if _written_at(path) >= before:
        return False
    try:
        aside.parent.mkdir(parents=True, exist_ok=True)
        path.rename(aside)
        if _written_at(aside) >= before:  # stored anew since we looked
            bring_back(root, key)
            return False
    except FileNotFoundError:
        return False
    except OSError as error:
        raise TryAgain(f"archive: {error.strerror}") from error
    return True


def bring_back(root: Path, key: str) -> bool:
    """Put a file that was set aside in its place again; say whether there was one."""
    path, aside = root / key, root / ASIDE / key
    if not aside.is_file():
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):  # stored anew meanwhile: that file serves
        os.link(aside, path)
    aside.unlink(missing_ok=True)
    return True


def keys_aside(root: Path) -> Iterator[str]:
    """Give the keys of files that are set aside."""
    folder = root / ASIDE
    return (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def forget_aside(root: Path, now: float) -> int:
    """Delete what was set aside ASIDE_S ago; say how many files."""
    old = [
        path
        for path in (root / ASIDE).rglob("*")
        if path.is_file() and path.stat().st_ctime < now - ASIDE_S  # the move's, not the writing's
    ]
    for path in old:
        path.unlink(missing_ok=True)
    return len(old)


def _written_at(path: Path) -> float:
    """Give the time of writing; a file that is gone counts as new."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return float("inf")
