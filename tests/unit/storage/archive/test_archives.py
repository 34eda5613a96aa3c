"""What every archive promises: one suite over a folder and an S3 store."""

import hashlib
import os
import re
import threading
import time
from collections.abc import Iterator
from functools import partial

import pytest

from dicom_node.domain.errors import GiveUp, TryAgain
from dicom_node.domain.pipeline import Archive
from dicom_node.storage.archive.sealed import SealedArchive
from tests.support.archives import Opened, content_of


def test_what_is_put_is_read_back(archive: Archive) -> None:
    stored = archive.put([b"one ", b"two"], "instances", ".dcm")
    digest = hashlib.sha256(b"one two").hexdigest()
    assert (stored.sha256, stored.size) == (digest, 7)
    if not isinstance(archive, SealedArchive):  # which names a file by its sealed form
        assert stored.key == f"instances/{digest[:2]}/{digest}.dcm"
    assert re.fullmatch(r"instances/(..)/\1[0-9a-f]{62}\.dcm", stored.key)
    assert archive.read(stored.key) == b"one two"
    assert content_of(archive, stored.key) == b"one two"


def test_what_one_host_puts_another_reads(opened: Opened) -> None:
    here, there = opened(), opened()
    key = here.put([b"film"], "instances", ".dcm").key
    assert content_of(there, key) == there.read(key) == b"film"
    there.delete(key)
    with pytest.raises(GiveUp, match="is gone"):
        opened().read(key)


def test_large_and_empty_content(archive: Archive) -> None:
    content = os.urandom(3 << 20)
    stored = archive.put([content, b"", content], "instances", ".dcm")
    assert stored.sha256 == hashlib.sha256(content + content).hexdigest()
    assert stored.size == 6 << 20
    assert archive.read(archive.put([], "results", "").key) == b""


def test_same_content_is_one_file(opened: Opened) -> None:
    archive = opened()
    keys = {archive.put([b"same"], "instances", ".dcm").key for _ in range(3)}
    keys.add(opened().put([b"sa", b"me"], "instances", ".dcm").key)
    assert len(keys) == 1
    assert list(archive.old_keys(time.time() + 60)) == list(keys)


def test_many_threads_put_at_once(archive: Archive) -> None:
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


def test_deleted_and_unknown_files_are_gone(archive: Archive) -> None:
    stored = archive.put([b"x"], "results", ".dcm")
    archive.delete(stored.key)
    archive.delete(stored.key)
    with pytest.raises(GiveUp, match="is gone"):
        archive.read(stored.key)
    with pytest.raises(GiveUp, match="is gone"):
        content_of(archive, stored.key)


@pytest.mark.parametrize(
    "key",
    ["", "/etc/passwd", "../secret", "instances/../../secret", "instances\\..\\x", "a\0b", ".."],
)
def test_no_key_leaves_the_archive(key: str, archive: Archive) -> None:
    archive.put([b"x"], "instances", ".dcm")
    for use in (archive.read, partial(content_of, archive), archive.delete):
        with pytest.raises(GiveUp, match="not a key"):
            use(key)


@pytest.mark.parametrize(("folder", "suffix"), [("../x", ""), ("/x", ""), ("", ""), ("x", "/../y")])
def test_folder_and_suffix_are_plain_names(folder: str, suffix: str, archive: Archive) -> None:
    with pytest.raises(ValueError, match="plain"):
        archive.put([b"x"], folder, suffix)
    assert list(archive.old_keys(time.time() + 60)) == []


def test_old_files_are_listed_and_set_aside(opened: Opened) -> None:
    archive = opened()
    keys = {archive.put([b"%d" % number], "instances", ".dcm").key for number in range(3)}
    later = time.time() + 60
    assert list(archive.old_keys(later - 3600)) == []
    assert set(archive.old_keys(later)) == keys
    one = min(keys)
    assert not archive.set_aside(one, later - 3600)
    assert archive.read(one)
    assert archive.set_aside(one, later)
    assert not archive.set_aside(one, later)
    assert set(opened().old_keys(later)) == keys - {one}
    assert opened().read(one)  # who knows its key has it again
    assert set(opened().old_keys(later)) == keys


def test_a_file_stored_anew_after_its_deletion_is_there(opened: Opened) -> None:
    archive = opened()
    key = archive.put([b"orphan"], "instances", ".dcm").key
    assert archive.set_aside(key, time.time() + 60)
    assert opened().put([b"orphan"], "instances", ".dcm").key == key
    assert opened().read(key) == b"orphan"


def test_a_deleted_file_does_not_come_back(opened: Opened) -> None:
    archive = opened()
    key = archive.put([b"orphan"], "instances", ".dcm").key
    assert archive.set_aside(key, time.time() + 60)
    archive.put([b"orphan"], "instances", ".dcm")
    archive.delete(key)
    with pytest.raises(GiveUp, match="is gone"):
        opened().read(key)


def test_there_is_room(archive: Archive) -> None:
    assert archive.free_bytes() > 1 << 20


def test_nothing_to_tidy(archive: Archive) -> None:
    key = archive.put([b"x"], "instances", ".dcm").key
    assert archive.tidy_spool(86_400, time.time()) == 0
    assert archive.read(key) == b"x"


def test_chunks_that_fail_leave_nothing(archive: Archive) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"half"
        raise TryAgain("no more")

    with pytest.raises(TryAgain):
        archive.put(chunks(), "instances", ".dcm")
    assert list(archive.old_keys(time.time() + 60)) == []
