"""The local audit log: lines that each hold the digest of the line before.

A line is JSON: its number, the SHA-256 (hex) of the line before and the message. The
digest of the last line that is known to be on the disk stands in a file beside the
log, so that cutting off its end shows too. A line that a power loss cut short is
closed and the next one says so (`mends`): that is no tampering.
"""

import errno
import fcntl
import hashlib
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dicom_node.domain.errors import GiveUp, TryAgain

FIRST = "0" * 64
"""What the first line holds in place of a digest."""
_BLOCK = 1 << 16


@dataclass(frozen=True, slots=True)
class ChainEntry:
    """The last line of a chain."""

    number: int
    sha256: str


EMPTY = ChainEntry(0, FIRST)


@dataclass(frozen=True, slots=True)
class Proof:
    """What verifying found of an unbroken chain."""

    lines: int
    cut: tuple[int, ...]
    """Numbers of lines that a power loss cut short."""
    last: str
    """The digest of the last line, to be compared with one kept elsewhere."""
    anchored: bool
    """Whether lines missing at the end would have shown."""


class Chain:
    """Appends to a log that other processes append to as well."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._mutex = threading.Lock()
        self._descriptor = -1
        self._size = -1
        self._last = EMPTY

    def append(self, message: str) -> None:
        """Write a line; it survives the process. Raises TryAgain when the disk refuses."""
        try:
            with self._locked() as descriptor:
                self._append(descriptor, message)
        except OSError as error:
            self._size = -1
            raise TryAgain(f"audit.file {self.path}: {error.strerror}") from error

    def flush(self) -> None:
        """Bring all lines to the disk, and note there how far they reach."""
        try:
            with self._locked() as descriptor:
                last = self._last_line(descriptor)
            if last == read_head(self.path):
                return
            os.fsync(descriptor)  # meanwhile others append
            with self._locked():
                self._note(last)
        except OSError as error:
            raise TryAgain(f"audit.file {self.path}: {error.strerror}") from error

    def close(self) -> None:
        """Let go of the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    @contextmanager
    def _locked(self) -> Iterator[int]:
        with self._mutex:  # the file's lock is between processes alone
            if self._descriptor < 0:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
                self._descriptor = os.open(self.path, flags, 0o600)  # it names patients
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            try:
                yield self._descriptor
            finally:
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def _append(self, descriptor: int, message: str) -> None:
        known = os.fstat(descriptor).st_size == self._size
        last, mends = self._ended(descriptor)
        entry: dict[str, Any] = {"n": last.number + 1, "previous": last.sha256}
        if mends:
            entry["mends"] = True
        head = None if known else read_head(self.path)
        if head is not None and last.number <= head.number and last != head:
            entry["lost"] = head.number  # once noted as safe, and not there any more
        line = json.dumps(entry | {"message": message}, ensure_ascii=False).encode()
        size = os.fstat(descriptor).st_size
        written = os.write(descriptor, line + b"\n")
        if written != len(line) + 1:  # the disk is full: take it back, or it is a cut line
            os.ftruncate(descriptor, size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._last = ChainEntry(last.number + 1, hashlib.sha256(line).hexdigest())
        self._size = size + written

    def _ended(self, descriptor: int) -> tuple[ChainEntry, bool]:
        """Give the last line, whole, and whether it is one that was cut short."""
        last = self._last_line(descriptor)
        if last.number >= 0:
            return last, False
        if os.pread(descriptor, 1, os.fstat(descriptor).st_size - 1) != b"\n":
            os.write(descriptor, b"\n")
            last = self._last_line(descriptor)
        if last.number >= 0:  # nothing but its end was cut
            return last, False
        return ChainEntry(_whole_lines(descriptor) + 1, last.sha256), True

    def _last_line(self, descriptor: int) -> ChainEntry:
        """Give the last line; its number is -1 where it is cut or no line of ours."""
        size = os.fstat(descriptor).st_size
        if size == self._size:
            return self._last
        if size == 0:
            return EMPTY
        line, whole = _tail(descriptor, size)
        number = _number_of(line) if whole else -1
        found = ChainEntry(number, hashlib.sha256(line).hexdigest())
        if number > 0:
            self._last, self._size = found, size
        return found

    def _note(self, last: ChainEntry) -> None:
        before = read_head(self.path)
        if last.number <= (before.number if before else 0):
            return
        beside = head_path(self.path)
        fresh = beside.with_suffix(f".{os.getpid()}.part")
        fresh.write_text(f"{last.number} {last.sha256}\n")
        fresh.rename(beside)


def _whole_lines(descriptor: int) -> int:
    """Give the number of the last line that is whole."""
    end = os.fstat(descriptor).st_size
    while end > 0:
        line, whole = _tail(descriptor, end)
        number = _number_of(line)
        if number > 0:
            return number
        end -= len(line) + whole
    return 0


def head_path(path: Path) -> Path:
    """Name the file that says how far a log is on the disk."""
    return path.with_name(path.name + ".head")


def read_head(path: Path) -> ChainEntry | None:
    """Give the line that was known to be on the disk, if one was noted."""
    try:
        number, sha256 = head_path(path).read_text().split()
        return ChainEntry(int(number), sha256)
    except (OSError, ValueError):
        return None


def verify(path: Path) -> Proof:
    """Follow the chain from its beginning; raises GiveUp at the first line that is wrong."""
    head, before, cut = read_head(path), EMPTY, list[int]()
    try:
        with path.open("rb") as lines:
            for raw in lines:
                before = _check_line(raw, before, cut, path)
                if head is not None and before.number == head.number and head != before:
                    raise GiveUp(f"{path}: line {head.number} is not the one that was written")
    except OSError as error:
        raise GiveUp(f"{path} cannot be read: {error.strerror}") from None
    if head is not None and before.number < head.number:
        raise GiveUp(f"{path}: lines {before.number + 1} to {head.number} have been cut off")
    return Proof(before.number, tuple(cut), before.sha256, head is not None)


def _check_line(raw: bytes, before: ChainEntry, cut: list[int], path: Path) -> ChainEntry:
    """Check one line against the one before; notes in `cut` one that is no line of ours."""
    number, line = before.number + 1, raw.removesuffix(b"\n")
    after_cut = bool(cut) and cut[-1] == before.number
    entry = _entry(line) if raw.endswith(b"\n") else None
    if after_cut and (entry is None or entry.get("mends") is not True):
        raise GiveUp(f"{path}: line {before.number} is damaged")
    if entry is None:
        cut.append(number)
    elif "lost" in entry:
        raise GiveUp(f"{path}: lines up to {entry['lost']} had been cut off before line {number}")
    elif entry["n"] != number or entry.get("previous") != before.sha256:
        wrong = f"line {before.number or 1} was changed, or lines near it taken out or put in"
        raise GiveUp(f"{path}: {wrong}: the chain breaks there")
    return ChainEntry(number, hashlib.sha256(line).hexdigest())


def messages(path: Path, offset: int, limit: int) -> Iterator[tuple[int, int, str]]:
    """Yield (end offset, number, message) of whole lines from `offset` on."""
    with path.open("rb") as lines:
        lines.seek(offset)
        for _ in range(limit):
            raw = lines.readline()
            if not raw.endswith(b"\n"):
                return
            offset += len(raw)
            entry = _entry(raw) or {}
            yield offset, entry.get("n", 0), entry.get("message", "")


def _entry(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    whole = isinstance(entry, dict) and {"n", "previous", "message"} <= set(entry)
    return entry if whole and isinstance(entry["n"], int) else None


def _number_of(line: bytes) -> int:
    entry = _entry(line)
    return -1 if entry is None else int(entry["n"])


def _tail(descriptor: int, end: int) -> tuple[bytes, bool]:
    """Give the line that ends at `end`, without its end, and whether it has one."""
    whole = os.pread(descriptor, 1, end - 1) == b"\n"
    stop = end - 1 if whole else end
    start, kept = stop, b""
    while start > 0:
        block = max(0, start - _BLOCK)
        kept = os.pread(descriptor, start - block, block) + kept
        start = block
        found = kept.rfind(b"\n")
        if found >= 0:
            return kept[found + 1 :], whole
    return kept, whole
