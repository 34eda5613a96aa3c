"""Paths of stored files, for as long as they are needed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dicom_node.domain.pipeline import Archive, Lending


@contextmanager
def lent(archive: Archive) -> Iterator[Callable[[str], Path]]:
    """Give what tells the path of a key; the paths hold until the block ends."""
    given: list[Path] = []

    def path_of(key: str) -> Path:
        path = archive.path(key)
        given.append(path)
        return path

    try:
        yield path_of
    finally:
        if isinstance(archive, Lending):
            for path in given:
                archive.release(path)
