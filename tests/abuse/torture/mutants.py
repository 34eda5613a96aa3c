"""Damaged copies of good files."""

import random
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pydicom.uid import generate_uid


def mutants(
    sources: Sequence[Path], count: int, dice: random.Random
) -> Iterator[tuple[bytes, str, Path]]:
    """Give damaged data sets, without File Meta Information, with UID and source.

    The SOP Instance UID is new; it stands in the data set where it survived the damage.
    """
    for _ in range(count):
        source, uid = dice.choice(sources), generate_uid()
        yield damaged(_data_set(source, uid), dice), uid, source


def whole_head(path: Path) -> bool:
    """Whether the File Meta Information says all that a sender needs."""
    try:
        meta = read_file_meta_info(path)
    except (OSError, InvalidDicomError):
        return False
    wanted = ("MediaStorageSOPInstanceUID", "MediaStorageSOPClassUID", "TransferSyntaxUID")
    return all(keyword in meta for keyword in (*wanted, "FileMetaInformationGroupLength"))


def damaged(content: bytes, dice: random.Random) -> bytes:
    """Flip, cut, repeat or overwrite some bytes, mostly in the header."""
    mutant = bytearray(content)
    for _ in range(dice.randint(1, 8)):
        end = min(len(mutant), 2000) if dice.random() < 0.7 else len(mutant)
        if end < 8:
            break
        at = dice.randrange(end - 4)
        match dice.randrange(5):
            case 0:
                mutant[at] ^= 1 << dice.randrange(8)
            case 1:
                mutant[at : at + 4] = dice.randbytes(4)
            case 2:
                mutant[at : at + 4] = b"\xff\xff\xff\xff"
            case 3:
                del mutant[at : at + dice.randrange(1, 200)]
            case _:
                mutant[at:at] = mutant[at : at + dice.randrange(1, 200)]
    if dice.random() < 0.1:
        del mutant[dice.randrange(len(mutant)) :]
    return bytes(mutant)


def _data_set(path: Path, uid: str) -> bytes:
    whole = path.read_bytes()
    meta = read_file_meta_info(path)
    start = 132 + 12 + int(meta.FileMetaInformationGroupLength)
    element = b"\x08\x00\x18\x00"
    old = str(meta.MediaStorageSOPInstanceUID).encode()
    old += b"\0" * (len(old) % 2)
    new = uid.encode() + b"\0" * (len(uid) % 2)
    length = struct.Struct("<H").pack
    content = whole[start:].replace(
        element + b"UI" + length(len(old)) + old, element + b"UI" + length(len(new)) + new
    )
    implicit = element + struct.pack("<I", len(old)) + old
    return content.replace(implicit, element + struct.pack("<I", len(new)) + new)
