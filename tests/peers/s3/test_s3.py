"""The S3 archive against a real server that is away, refuses, or lost something."""

import hashlib
import os
import socket
import socketserver
import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import obstore
import pytest
from obstore.store import S3Store

from dicom_node.domain.archive import Bucket
from dicom_node.domain.errors import Away, BadSettings, GiveUp, TryAgain
from dicom_node.domain.work import JOB_RETRY, after_failure
from dicom_node.storage.archive import s3 as archive_s3
from dicom_node.storage.archive.cache import FileCache
from dicom_node.storage.archive.orphans import ASIDE_S
from dicom_node.storage.archive.s3 import ASIDE, S3Archive
from tests.support.archives import content_of, numbers
from tests.support.certificates import Authority
from tests.support.s3_server import KEY, S3Server, s3_server

pytestmark = pytest.mark.s3
DAY_S = 86_400.0


@pytest.fixture
def prefix() -> str:
    return f"site/{next(numbers)}"


def _archive(bucket: Bucket, folder: Path) -> S3Archive:
    return S3Archive(bucket, folder, 1 << 30)


def test_a_store_that_is_away_and_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_s3, "RETRY_S", 1)
    with s3_server(tmp_path / "server") as server:
        archive = _archive(server.bucket("site"), tmp_path / "cache")
        other = _archive(server.bucket("site"), tmp_path / "other")
        key = archive.put([b"film"], "instances", ".dcm").key
        server.stop()
        for use in (other.read, partial(content_of, other), other.delete):
            with pytest.raises(Away, match="is away"):
                use(key)
        with pytest.raises(Away, match="is away"):
            archive.put([b"second"], "instances", ".dcm")
        with pytest.raises(Away, match="is away"):
            list(archive.old_keys(time.time()))
        assert content_of(archive, key) == b"film"  # from the copy
        server.start()
        assert other.read(key) == b"film"
        assert archive.put([b"second"], "instances", ".dcm")


def test_no_job_is_given_up_while_the_store_is_away() -> None:
    for attempt in (1, JOB_RETRY.attempts, 1000):
        due_at = after_failure(Away("the store is away"), attempt, 0.0, JOB_RETRY).due_at
        assert due_at is not None and due_at <= JOB_RETRY.longest_s
    assert after_failure(TryAgain("this file"), JOB_RETRY.attempts, 0.0, JOB_RETRY).due_at is None


def test_access_denied_is_said_without_the_key(s3: S3Server, prefix: str, tmp_path: Path) -> None:
    refused = str(s3.credentials("STRANGER", f"stranger{next(numbers)}"))
    archive = _archive(s3.bucket(prefix, refused), tmp_path)
    for use in (
        lambda: archive.put([b"x"], "instances", ".dcm"),
        lambda: archive.read(f"instances/00/{'0' * 64}.dcm"),
        lambda: list(archive.old_keys(0)),
    ):
        with pytest.raises(Away, match="access denied") as caught:
            use()
        assert "InvalidAccessKeyId" in str(caught.value)
        assert "STRANGER" not in str(caught.value)
        assert caught.value.__suppress_context__


def test_changed_credentials_are_taken_up(
    s3: S3Server, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicom_node.storage.archive.s3_credentials.REREAD_S", 0.1)
    path = s3.credentials("STRANGER", f"changing{next(numbers)}")
    archive = _archive(s3.bucket(prefix, str(path)), tmp_path)
    with pytest.raises(Away, match="access denied"):
        archive.put([b"x"], "instances", ".dcm")
    path.write_text("[half")  # being written: what was good last serves
    with pytest.raises(Away, match="access denied"):
        archive.put([b"x"], "instances", ".dcm")
    s3.credentials(KEY, path.name)
    time.sleep(0.2)
    assert archive.put([b"x"], "instances", ".dcm")


def test_a_bucket_that_is_not_there_is_no_missing_file(s3: S3Server, tmp_path: Path) -> None:
    there = s3.bucket("site")
    bucket = Bucket("none", "", endpoint=there.endpoint, credentials_file=there.credentials_file)
    archive = _archive(bucket, tmp_path)
    for use in (
        lambda: archive.put([b"x"], "instances", ".dcm"),
        lambda: archive.read(f"instances/00/{'0' * 64}.dcm"),
        lambda: archive.delete(f"instances/00/{'0' * 64}.dcm"),
        lambda: list(archive.old_keys(0)),
    ):
        with pytest.raises(Away, match="NoSuchBucket"):
            use()


def test_changed_content_is_never_served(s3: S3Server, prefix: str, tmp_path: Path) -> None:
    key = _archive(s3.bucket(prefix), tmp_path / "a").put([b"whole"], "instances", ".dcm").key
    s3.file(f"{prefix}/{key}").write_bytes(b"who")
    there = _archive(s3.bucket(prefix), tmp_path / "b")
    for use in (there.read, partial(content_of, there)):
        with pytest.raises(TryAgain, match="not what was put"):
            use(key)
    assert not list((tmp_path / "b").rglob("*"))


def test_a_damaged_copy_is_fetched_again(s3: S3Server, prefix: str, tmp_path: Path) -> None:
    archive = _archive(s3.bucket(prefix), tmp_path)
    key = archive.put([b"whole"], "instances", ".dcm").key
    with archive.opened(key) as copy:
        assert copy.stat().st_mode & 0o077 == 0
        copy.write_bytes(b"")  # as after a power loss
    assert archive.read(key) == b"whole"
    assert content_of(archive, key) == b"whole"


def test_what_is_stored_during_its_sweep_comes_back(
    s3: S3Server, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweeping = _archive(s3.bucket(prefix), tmp_path / "a")
    receiving = _archive(s3.bucket(prefix), tmp_path / "b")
    key = sweeping.put([b"nobody's"], "instances", ".dcm").key
    real_copy = obstore.copy

    def copy_while_the_sender_repeats(store: S3Store, source: str, target: str) -> None:
        real_copy(store, source, target)
        receiving.put([b"nobody's"], "instances", ".dcm")

    monkeypatch.setattr(obstore, "copy", copy_while_the_sender_repeats)
    assert sweeping.set_aside(key, time.time() + 60)
    monkeypatch.undo()
    working = _archive(s3.bucket(prefix), tmp_path / "c")
    assert content_of(working, key) == b"nobody's"
    assert list(working.old_keys(time.time() + 60)) == [key]


def test_what_is_aside_goes_in_the_end(s3: S3Server, prefix: str, tmp_path: Path) -> None:
    archive = _archive(s3.bucket(prefix), tmp_path / "a")
    key = archive.put([b"nobody's"], "instances", ".dcm").key
    kept = archive.put([b"somebody's"], "instances", ".dcm").key
    assert archive.set_aside(key, time.time() + 60)
    assert s3.file(f"{prefix}/{ASIDE}{key}").exists()
    assert archive.tidy_spool(DAY_S, time.time() + ASIDE_S - DAY_S) >= 0
    assert s3.file(f"{prefix}/{ASIDE}{key}").exists()
    archive.tidy_spool(DAY_S, time.time() + ASIDE_S + DAY_S)
    assert not s3.file(f"{prefix}/{ASIDE}{key}").exists()
    with pytest.raises(GiveUp, match="is gone"):
        archive.read(key)
    assert archive.read(kept) == b"somebody's"


def test_the_store_shows_a_certificate_of_ours(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    with s3_server(tmp_path / "server", authority.issue("store")) as server:
        ours = replace(server.bucket("site"), ca_file=str(authority.ca))
        archive = _archive(ours, tmp_path / "cache")
        key = archive.put([b"film"], "instances", ".dcm").key
        assert _archive(ours, tmp_path / "other").read(key) == b"film"
        stranger = replace(ours, ca_file=str(Authority(tmp_path / "stranger", "Unknown CA").ca))
        for untrusting in (replace(ours, ca_file=""), stranger):
            with pytest.raises(Away, match="is away"):
                _archive(untrusting, tmp_path / "third").read(key)


def test_a_full_disk_of_copies_loses_nothing(s3: S3Server, prefix: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    archive = _archive(s3.bucket(prefix), tmp_path / "file" / "cache")  # no folder can be there
    key = archive.put([b"film"], "instances", ".dcm").key
    with pytest.raises(Away, match="archive cache"):
        content_of(archive, key)
    assert content_of(_archive(s3.bucket(prefix), tmp_path / "cache"), key) == b"film"


def test_credentials_are_required(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    with pytest.raises(BadSettings, match="credentials_file is empty"):
        _archive(Bucket("films", endpoint="http://127.0.0.1:1"), tmp_path)
    for content in ("", "[default]\naws_access_key_id = x\n", "[other]\n", "no section"):
        path = tmp_path / "credentials"
        path.write_text(content)
        with pytest.raises(BadSettings, match="needs a section"):
            _archive(Bucket("films", credentials_file=str(path)), tmp_path)
    with pytest.raises(BadSettings, match="No such file"):
        _archive(Bucket("films", credentials_file=str(tmp_path / "none")), tmp_path)
    with pytest.raises(BadSettings, match="ca_file"):
        _archive(Bucket("films", credentials_file="", ca_file=str(tmp_path / "none")), tmp_path)


def test_credentials_of_the_environment(
    s3: S3Server, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEY)
    archive = _archive(Bucket("films", prefix, endpoint=s3.endpoint), tmp_path)
    assert archive.read(archive.put([b"x"], "instances", ".dcm").key) == b"x"


def test_copies_are_bounded(tmp_path: Path) -> None:
    roomy, cache, now = FileCache(tmp_path, 1 << 20), FileCache(tmp_path, 1000), time.time()
    keys = [f"instances/00/{number:064}.dcm" for number in range(8)]
    for age, key in enumerate(keys):
        used_at = now - 3600 * (8 - age)
        os.utime(roomy.add(key, (b"x" * 200,)), (used_at, used_at))
    os.utime(tmp_path / f"{0:064}.dcm", (now - 2 * DAY_S,) * 2)
    (tmp_path / "folder").mkdir()  # nothing of ours
    os.utime(tmp_path / "folder", (0, 0))
    cache.trim(now)
    (tmp_path / "folder").rmdir()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"{number:064}.dcm" for number in range(3, 8)
    ]
    for number in range(8, 30):  # above the limit, yet in use
        cache.add(f"instances/00/{number:064}.dcm", (b"x" * 200,))
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == [f"{number:064}.dcm" for number in range(8, 30)]


class _Cutting(socketserver.BaseRequestHandler):
    """Carries the first bytes of a connection to the store, then cuts it."""

    store = ("127.0.0.1", 0)
    left = 100_000

    def handle(self) -> None:
        with socket.create_connection(self.store) as onward:
            while self.left > 0 and (chunk := self.request.recv(self.left)):
                onward.sendall(chunk)
                self.left -= len(chunk)


def test_an_upload_that_is_cut_is_never_served(s3: S3Server, prefix: str, tmp_path: Path) -> None:
    class Handler(_Cutting):
        store = ("127.0.0.1", s3.port)

    content = os.urandom(1 << 20)
    straight = s3.bucket(prefix)
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as cutting:
        threading.Thread(target=cutting.serve_forever).start()
        cut = replace(straight, endpoint=f"http://127.0.0.1:{cutting.server_address[1]}")
        with pytest.raises(Away, match="is away"):
            _archive(cut, tmp_path / "a").put([content], "instances", ".dcm")
        cutting.shutdown()
    sha256 = hashlib.sha256(content).hexdigest()
    key = f"instances/{sha256[:2]}/{sha256}.dcm"
    # this server shows what it got, where S3 shows nothing; the hash tells them apart
    with pytest.raises(TryAgain, match="not what was put"):
        _archive(straight, tmp_path / "b").read(key)
    assert not list((tmp_path / "a").rglob("*"))
    assert _archive(straight, tmp_path / "a").put([content], "instances", ".dcm").key == key
    assert _archive(straight, tmp_path / "b").read(key) == content
