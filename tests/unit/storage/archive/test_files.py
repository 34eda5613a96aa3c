"""The archive in a folder, with faults made by the file system (all archives: test_archives.py)."""

import os
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from dicom_node.domain.errors import Away, GiveUp, TryAgain
from dicom_node.storage.archive.files import FileArchive
from dicom_node.storage.archive.orphans import SPOOL
from tests.support.archives import content_of


def _files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


def test_a_writer_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"half"
        raise OSError(28, "No space left on device")

    with pytest.raises(Away, match="No space left"):
        FileArchive(tmp_path).put(chunks(), "instances", ".dcm")
    assert _files(tmp_path) == []


def test_a_share_that_is_not_mounted_has_lost_nothing(tmp_path: Path) -> None:
    share = tmp_path / "share"
    key = FileArchive(share).put([b"film"], "instances", ".dcm").key
    share.rename(tmp_path / "elsewhere")
    share.mkdir()  # what is there before something is mounted on it
    for use in (FileArchive(share).read, partial(content_of, FileArchive(share))):
        with pytest.raises(Away, match="mounted"):
            use(key)
    share.rmdir()
    (tmp_path / "elsewhere").rename(share)
    assert FileArchive(share).read(key) == b"film"


def test_a_share_that_gives_errors_is_away_and_a_file_alone_is_not(tmp_path: Path) -> None:
    there = FileArchive(tmp_path)
    there.put([b"film"], "instances", ".dcm")
    too_long = "x" * 300  # an error at every look, as a share gives whose server is gone
    for archive, error in ((there, TryAgain), (FileArchive(tmp_path / too_long), Away)):
        for use in (archive.read, partial(content_of, archive)):
            with pytest.raises(error) as raised:
                use(f"instances/{too_long}")
            assert type(raised.value) is error


def test_faults_of_the_file_system_are_passing(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    archive = FileArchive(tmp_path / "file")  # a file where a folder is needed
    with pytest.raises(TryAgain):
        archive.put([b"x"], "instances", ".dcm")
    with pytest.raises(TryAgain):
        archive.free_bytes()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has /dev/full")
def test_full_device_is_try_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "open", _opening_full_for(os.open))
    with pytest.raises(TryAgain, match="No space left"):
        FileArchive(tmp_path).put([b"x"], "instances", ".dcm")


def _opening_full_for(real_open: object) -> object:
    """Open /dev/full wherever a new spool file is asked for."""

    def opened(path: object, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_EXCL:
            return real_open("/dev/full", os.O_WRONLY)  # type: ignore[operator, no-any-return]
        return real_open(path, flags, mode)  # type: ignore[operator, no-any-return]

    return opened


def test_everything_is_flushed_before_put_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[str] = []

    def noting(flush: Callable[[int], None], descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").resolve()
        flushed.append(path.relative_to(tmp_path).as_posix())
        flush(descriptor)

    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, name, partial(noting, getattr(os, name)))
    archive = FileArchive(tmp_path / "archive")
    key = archive.put([b"x"], "instances", ".dcm").key
    leaf = Path(key).parent.as_posix()
    # each new folder's parent, then the bytes, then the folder that got the name
    for folder in (".", "archive", "archive/instances"):
        assert folder in flushed
    assert flushed[-1] == f"archive/{leaf}"
    written = [name for name in flushed if name.endswith(".part")]
    assert len(written) == 1
    flushed.clear()
    archive.put([b"x"], "instances", ".dcm")
    assert [Path(name).suffix for name in flushed] == [".part", ""]


def test_spool_is_tidied_by_age(tmp_path: Path) -> None:
    archive = FileArchive(tmp_path)
    assert archive.tidy_spool(3600, now=1e9) == 0
    kept = archive.put([b"x"], "instances", ".dcm").key
    for name, age_s in (("old.part", 7200), ("young.part", 60)):
        left = tmp_path / SPOOL / name
        left.write_bytes(b"")
        os.utime(left, (1e9 - age_s, 1e9 - age_s))
    assert archive.tidy_spool(3600, now=1e9) == 1
    assert [path.name for path in (tmp_path / SPOOL).iterdir()] == ["young.part"]
    assert archive.read(kept) == b"x"


def test_free_bytes_is_that_of_the_disk(tmp_path: Path) -> None:
    stats = os.statvfs(tmp_path)
    free = FileArchive(tmp_path / "archive").free_bytes()
    assert abs(free - stats.f_bavail * stats.f_frsize) < 1 << 30


@pytest.mark.parametrize("use", ["read", "opened"])
def test_an_exchanged_or_rotten_file_is_not_taken_for_what_was_stored(
    use: str, tmp_path: Path
) -> None:
    archive = FileArchive(tmp_path)
    one, other = (archive.put([film], "instances", ".dcm").key for film in (b"one", b"other"))
    shutil.copy(tmp_path / other, tmp_path / one)
    with pytest.raises(GiveUp, match="does not hold what was stored"):
        archive.read(one) if use == "read" else content_of(archive, one)
    assert archive.read(other) == b"other"
