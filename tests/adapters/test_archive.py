"""The archive on a real file system, with faults made by it."""

import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicom_node.adapters.archive import SPOOL, FileArchive
from dicom_node.domain.errors import GiveUp, TryAgain


def _files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


def test_what_is_put_is_read_back(tmp_path: Path) -> None:
    archive = FileArchive(tmp_path / "made" / "here")
    stored = archive.put([b"one ", b"two"], "instances", ".dcm")
    digest = hashlib.sha256(b"one two").hexdigest()
    assert (stored.sha256, stored.size) == (digest, 7)
    assert stored.key == f"instances/{digest[:2]}/{digest}.dcm"
    assert archive.read(stored.key) == b"one two"
    assert archive.path(stored.key).read_bytes() == b"one two"
    assert not list((tmp_path / "made" / "here" / SPOOL).iterdir())


def test_large_content_is_hashed_on_the_side(tmp_path: Path) -> None:
    content = os.urandom(3 << 20)
    stored = FileArchive(tmp_path).put([content, b"", content], "instances", ".dcm")
    assert stored.sha256 == hashlib.sha256(content + content).hexdigest()
    assert stored.size == 6 << 20


def test_same_content_is_one_file(tmp_path: Path) -> None:
    archive = FileArchive(tmp_path)
    keys = {archive.put([b"same"], "instances", ".dcm").key for _ in range(3)}
    keys.add(FileArchive(tmp_path).put([b"sa", b"me"], "instances", ".dcm").key)
    assert len(keys) == len(_files(tmp_path)) == 1


def test_many_threads_put_at_once(tmp_path: Path) -> None:
    archive = FileArchive(tmp_path)
    keys: list[str] = []

    def put(number: int) -> None:
        keys.append(archive.put([b"%d" % (number % 4)], "instances", ".dcm").key)

    threads = [threading.Thread(target=put, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 16 and len(set(keys)) == 4
    assert {archive.read(key) for key in keys} == {b"0", b"1", b"2", b"3"}


def test_deleted_and_unknown_files_are_gone(tmp_path: Path) -> None:
    archive = FileArchive(tmp_path)
    stored = archive.put([b"x"], "results", ".dcm")
    archive.delete(stored.key)
    archive.delete(stored.key)
    with pytest.raises(GiveUp, match="is gone"):
        archive.read(stored.key)
    with pytest.raises(GiveUp, match="is gone"):
        archive.path(stored.key)


@pytest.mark.parametrize(
    "key",
    ["", "/etc/passwd", "../secret", "instances/../../secret", "instances\\..\\x", "a\0b", ".."],
)
def test_no_key_leaves_the_root(tmp_path: Path, key: str) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    archive = FileArchive(tmp_path / "archive")
    archive.put([b"x"], "instances", ".dcm")
    for use in (archive.read, archive.path, archive.delete):
        with pytest.raises(GiveUp):
            use(key)
    assert (tmp_path / "secret").exists()


@pytest.mark.parametrize(("folder", "suffix"), [("../x", ""), ("/x", ""), ("", ""), ("x", "/../y")])
def test_folder_and_suffix_are_plain_names(tmp_path: Path, folder: str, suffix: str) -> None:
    with pytest.raises(ValueError, match="plain"):
        FileArchive(tmp_path).put([b"x"], folder, suffix)
    assert _files(tmp_path) == []


def test_a_writer_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"half"
        raise OSError(28, "No space left on device")

    with pytest.raises(TryAgain, match="No space left"):
        FileArchive(tmp_path).put(chunks(), "instances", ".dcm")
    assert _files(tmp_path) == []


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
    real_fsync = os.fsync

    def noting(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").resolve()
        flushed.append(path.relative_to(tmp_path).as_posix())
        real_fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noting)
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
