"""The keys under which an archive holds files."""

import re
from pathlib import PurePosixPath

from dicom_node.domain.errors import GiveUp

_FOLDER = re.compile(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*")
_SUFFIX = re.compile(r"(\.[A-Za-z0-9]+)*")
_KEY = re.compile(rf"{_FOLDER.pattern}/[0-9a-f]{{64}}{_SUFFIX.pattern}")


def key_of(folder: str, sha256: str, suffix: str) -> str:
    """Make the key of content by its SHA-256 (hex), spread over 256 folders.

    Raises ValueError for a folder or suffix that could lead out of the archive.
    """
    if not (_FOLDER.fullmatch(folder) and _SUFFIX.fullmatch(suffix)):
        raise ValueError(f"not a plain folder or suffix: {folder!r}, {suffix!r}")
    return f"{folder}/{sha256[:2]}/{sha256}{suffix}"


def is_key(key: str) -> bool:
    """Say whether `key_of` can have made it."""
    return _KEY.fullmatch(key) is not None


def digest_of(key: str) -> str:
    """Give the SHA-256 (hex) that a key holds."""
    return PurePosixPath(key).name.partition(".")[0]


def require_name(sha256: str, key: str) -> None:
    """Raise GiveUp for content that is not what the key was made of."""
    if digest_of(key) != sha256:
        raise GiveUp(f"archive file {key} does not hold what was stored under its name")
