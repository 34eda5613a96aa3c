"""Files encrypted at rest: what lies on the disk, keys, copies, tampering."""

import io
import os
import subprocess
import sys
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Barrier

import pytest

from dicom_node.assembly import parts as node
from dicom_node.domain.errors import BadSettings, GiveUp
from dicom_node.settings.settings import Settings, load_settings
from dicom_node.storage.archive.files import FileArchive
from dicom_node.storage.archive.room import Room
from dicom_node.storage.archive.sealing import CHUNK, HEAD_BYTES, TAG_BYTES, load_keys, seal, unseal
from tests.support.archives import content_of, vault
from tests.support.paths import ROOT

SECRET = b"MARKED^PATIENT"


def key_file(path: Path, *keys: bytes) -> Path:
    path.write_bytes(b"# keys\n" + b"".join(b64encode(one) + b"  # ours\n" for one in keys))
    path.chmod(0o600)
    return path


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return key_file(tmp_path / "keys", os.urandom(32))


def on_disk(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK])
def test_content_of_any_size_comes_back_and_never_lies_on_the_disk(
    tmp_path: Path, keys: Path, size: int
) -> None:
    archive, content = vault(tmp_path, keys), (SECRET * (size // 14 + 1))[:size]
    stored = archive.put([content[:100], content[100:]], "instances", ".dcm")
    blocks = max(1, -(-size // CHUNK))
    path = tmp_path / "archive" / stored.key
    assert path.stat().st_size == HEAD_BYTES + size + blocks * TAG_BYTES
    assert not any(SECRET in found for found in on_disk(tmp_path / "archive"))
    assert archive.read(stored.key) == content
    assert content_of(archive, stored.key) == content


def test_a_plain_copy_is_private_and_gone_when_the_block_ends(tmp_path: Path, keys: Path) -> None:
    archive = vault(tmp_path, keys)
    key = archive.put([SECRET], "instances", ".dcm").key
    with archive.opened(key) as path:
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700
        assert content_of(archive, key) == SECRET
        assert path.read_bytes() == SECRET  # whoever else has read it meanwhile
    assert not path.exists()
    assert SECRET not in b"".join(on_disk(tmp_path))


def test_copies_of_a_process_that_was_killed_are_removed(tmp_path: Path, keys: Path) -> None:
    archive = vault(tmp_path, keys)
    key = archive.put([SECRET], "instances", ".dcm").key
    code = (
        "import os, sys; from pathlib import Path\n"
        "from tests.support.archives import vault\n"
        "with vault(Path(sys.argv[1]), Path(sys.argv[2])).opened(sys.argv[3]): os._exit(9)"
    )
    root = ROOT
    subprocess.run([sys.executable, "-c", code, tmp_path, keys, key], cwd=root)
    assert SECRET in b"".join(on_disk(tmp_path / "memory"))
    with archive.opened(key) as held:
        assert archive.tidy_spool(0, 0) == 0  # swept already when the first copy was made
        assert [
            one for one in (tmp_path / "memory").rglob("*") if one.is_file() and one.stat().st_size
        ] == [held]


@pytest.mark.parametrize("place", [0, 20, HEAD_BYTES - 1, HEAD_BYTES + 5, -1])
def test_a_changed_file_does_not_open(tmp_path: Path, keys: Path, place: int) -> None:
    archive = vault(tmp_path, keys)
    key = archive.put([SECRET], "instances", ".dcm").key
    path = tmp_path / "archive" / key
    changed = bytearray(path.read_bytes())
    changed[place] ^= 1
    path.write_bytes(changed)
    for use in (archive.read, partial(content_of, archive)):
        with pytest.raises(GiveUp):
            use(key)
    assert SECRET not in b"".join(on_disk(tmp_path / "memory"))


def test_neither_another_sealed_file_nor_a_plain_one_takes_a_files_place(
    tmp_path: Path, keys: Path
) -> None:
    archive = vault(tmp_path, keys)
    key, other = (archive.put([one], "instances", ".dcm").key for one in (SECRET, b"other"))
    for forged in ((tmp_path / "archive" / other).read_bytes(), b"plain"):
        (tmp_path / "archive" / key).write_bytes(forged)
        for use in (archive.read, partial(content_of, archive)):
            with pytest.raises(GiveUp, match="under its name"):
                use(key)


def test_a_cut_file_does_not_open_even_at_a_chunks_end(tmp_path: Path, keys: Path) -> None:
    secret = load_keys(str(keys))
    sealed = b"".join(seal([bytes(2 * CHUNK)], "ab" * 32, 2 * CHUNK, secret))
    assert sum(map(len, unseal(io.BytesIO(sealed), secret))) == 2 * CHUNK
    with pytest.raises(GiveUp, match="cut short"):
        list(unseal(io.BytesIO(sealed[: HEAD_BYTES + CHUNK + TAG_BYTES]), secret))


def test_old_keys_open_the_new_one_seals_and_plain_files_stay_readable(tmp_path: Path) -> None:
    old, new = os.urandom(32), os.urandom(32)
    plain = FileArchive(tmp_path / "archive").put([b"plain"], "instances", ".dcm").key
    before = vault(tmp_path, key_file(tmp_path / "one", old)).put([SECRET], "instances", ".dcm")
    rotated = vault(tmp_path, key_file(tmp_path / "two", new, old))
    assert rotated.read(before.key) == SECRET
    assert rotated.read(plain) == content_of(rotated, plain) == b"plain"
    after = rotated.put([SECRET], "instances", ".dcm")
    assert (after.sha256, after.size) == (before.sha256, before.size)
    only_new = vault(tmp_path, key_file(tmp_path / "three", new))
    assert only_new.read(after.key) == SECRET
    with pytest.raises(GiveUp, match="lacks"):
        only_new.read(before.key)


@pytest.mark.parametrize("text", ["", "# none\n", "c2hvcnQ=\n", "not base64!\n", "é\n"])
def test_a_file_without_a_sound_key_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(BadSettings, match=r"archive\.key_file"):
        load_keys(str(path))


def test_a_key_that_everybody_can_read_is_refused(keys: Path) -> None:
    keys.chmod(0o644)
    with pytest.raises(BadSettings, match="chmod 600"):
        load_keys(str(keys))
    assert "Keys(" in repr(load_keys(str(key_file(keys, b"x" * 32))))
    assert b64encode(b"x" * 32).decode() not in repr(load_keys(str(keys)))


def configured(folder: Path, key_line: str) -> Settings:
    config = folder / "node.toml"
    config.write_text(f"[receive]\nmin_free_gb = 0.1\n[archive]\n{key_line}\n")
    return load_settings(config)


def test_a_node_does_not_start_without_the_key_of_its_files(tmp_path: Path, keys: Path) -> None:
    settings = configured(tmp_path, 'key_file = "keys"')
    parts = node.open_parts(settings, migrate=True)
    key = parts.archive.put([SECRET], "instances", ".dcm").key
    parts.close()
    assert SECRET not in (tmp_path / "var" / "archive" / key).read_bytes()
    key_file(tmp_path / "other", os.urandom(32))
    for line in ('key_file = "other"', ""):
        with pytest.raises(BadSettings, match=r"archive\.key_file lacks key"):
            node.open_parts(configured(tmp_path, line))
    node.open_parts(settings).close()


def test_threads_that_read_at_once_share_one_room(tmp_path: Path) -> None:
    room, ready = Room(tmp_path), Barrier(8)

    def write(_: int) -> Path:
        ready.wait(5)
        return room.write(iter([b"a film"])).parent

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(write, range(8)))) == 1
    room.close()
    assert not list(tmp_path.glob("*/*"))
