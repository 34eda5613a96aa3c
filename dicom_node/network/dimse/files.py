"""Sending files and folders, as `dicom-node send` does."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from pydicom.uid import MediaStorageDirectoryStorage

from dicom_node.domain.errors import GiveUp, NodeError, TryAgain
from dicom_node.network.dimse.association import Target
from dicom_node.network.dimse.scu import Outgoing, Result, outgoing, store

Fate = Literal["arrived", "failed", "skipped"]
FILES_PER_ASSOCIATION = 100


@dataclass(frozen=True, slots=True)
class SentFile:
    """What became of one file, with the peer's answer or the fault in words."""

    path: Path
    fate: Fate
    words: str


def send_paths(
    paths: Iterable[Path], target: Target, progress: Callable[[SentFile], None]
) -> tuple[SentFile, ...]:
    """Send files, and folders with all below them; tell of each as it ends.

    What lies in a folder and is no DICOM object is skipped; named itself, it failed.
    Raises TryAgain when the peer cannot be reached for a whole part.
    """
    fates: list[SentFile] = []

    def tell(path: Path, fate: Fate, words: str) -> None:
        fates.append(SentFile(path, fate, words))
        progress(fates[-1])

    found = _walk(paths)
    while part := list(islice(found, FILES_PER_ASSOCIATION)):
        files: list[Outgoing] = []
        for path, named in part:
            try:
                files.append(_object(path))
            except NodeError as error:
                tell(path, "failed" if named else "skipped", str(error))
        results: list[Result] = []
        for file, result in zip(files, store(files, target), strict=True):
            tell(file.path, *_fate(result))
            results.append(result)
        if results and all(isinstance(result, TryAgain) for result in results):
            raise TryAgain(str(results[-1]))
    return tuple(fates)


def _walk(paths: Iterable[Path]) -> Iterator[tuple[Path, bool]]:
    """Yield files, and whether each was named itself."""
    for path in paths:
        if path.is_dir():
            yield from ((child, False) for child in sorted(path.rglob("*")) if child.is_file())
        else:
            yield path, True


def _object(path: Path) -> Outgoing:
    file = outgoing(path)
    if file.sop_class_uid == MediaStorageDirectoryStorage:
        raise GiveUp("a DICOMDIR, no object")
    return file


def _fate(result: Result) -> tuple[Fate, str]:
    if isinstance(result, str):
        return "arrived", result
    return "failed", "; ".join([str(result), *getattr(result, "__notes__", ())])
