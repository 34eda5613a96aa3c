"""DCMTK sends the shared files, each in its own transfer syntax."""

import csv
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.filereader import read_file_meta_info

from dicom_node.network.dimse.options import IMAGE_CLASSES, IMAGE_SYNTAXES
from tests.support.receiver import Receiver, receiver

pytestmark = [pytest.mark.peers, pytest.mark.data]

OPTIONS = {
    "1.2.840.10008.1.2": "-xi",
    "1.2.840.10008.1.2.1": "-xe",
    "1.2.840.10008.1.2.1.99": "-xd",
    "1.2.840.10008.1.2.2": "-xb",
    "1.2.840.10008.1.2.4.50": "-xy",
    "1.2.840.10008.1.2.4.51": "-xx",
    "1.2.840.10008.1.2.4.70": "-xs",
    "1.2.840.10008.1.2.4.80": "-xt",
    "1.2.840.10008.1.2.4.81": "-xu",
    "1.2.840.10008.1.2.4.90": "-xv",
    "1.2.840.10008.1.2.4.91": "-xw",
    "1.2.840.10008.1.2.5": "-xr",
}
"""storescu's options for proposing a transfer syntax."""
NO_STUDY = "other_vpop_idexx_vet_DX_jpeg-baseline.dcm"
"""Has no StudyInstanceUID."""


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Receiver]:
    with receiver(tmp_path) as running:
        yield running


def _data_set(path: Path) -> bytes:
    """Cut off preamble and File Meta, whose length is its first element (PS3.10 7.1)."""
    content = path.read_bytes()
    assert content[128:132] == b"DICM"
    assert content[132:140] == b"\x02\0\0\0UL\4\0"
    return content[144 + int.from_bytes(content[140:144], "little") :]


def _servable(shared: Path) -> list[Path]:
    with (shared / "dicom" / "manifest.csv").open(newline="") as table:
        paths = [shared / "dicom" / row["file"] for row in csv.DictReader(table)]
    return [path for path in paths if _is_servable(path)]


def _is_servable(path: Path) -> bool:
    if path.read_bytes()[128:132] != b"DICM":
        return False
    meta = read_file_meta_info(path)
    return (
        path.name != NO_STUDY
        and meta.get("MediaStorageSOPClassUID") in IMAGE_CLASSES
        and meta.get("TransferSyntaxUID") in IMAGE_SYNTAXES
    )


def _uid(path: Path) -> str:
    return str(read_file_meta_info(path).MediaStorageSOPInstanceUID)


def _rounds(paths: list[Path]) -> list[dict[str, Path]]:
    """Spread files over rounds in which no SOP Instance UID comes twice.

    Five of the shared files are one instance in five transfer syntaxes.
    """
    rounds: list[dict[str, Path]] = []
    for path in paths:
        uid = _uid(path)
        free = next((one for one in rounds if uid not in one), None)
        if free is None:
            free = {}
            rounds.append(free)
        free[uid] = path
    return rounds


def _stored(node: Receiver) -> dict[str, bytes]:
    return {
        row.sop_instance_uid: _data_set(node.root / "archive" / row.file_key) for row in node.rows()
    }


def _pixels(data_set: bytes) -> bytes:
    at = max(data_set.rfind(b"\xe0\x7f\x10\x00" + vr) for vr in (b"OB", b"OW"))
    assert at > 0
    return data_set[at:]


def _run(*command: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120)


def test_storescu_sends_each_file_in_its_syntax(tmp_path: Path, shared: Path) -> None:
    paths = _servable(shared)
    syntaxes = set()
    for number, sent in enumerate(_rounds(paths)):
        root = tmp_path / str(number)
        root.mkdir()
        with receiver(root) as node:
            for path in sent.values():
                syntax = read_file_meta_info(path).TransferSyntaxUID
                syntaxes.add(syntax)
                who = ("-aet", "XRAY1", "-aec", "CXRAI", "127.0.0.1", node.port)
                done = _run("storescu", OPTIONS[syntax], *who, path)
                assert done.returncode == 0, (path.name, done.stderr)
            stored = _stored(node)
            assert set(stored) == set(sent)
            for uid, path in sent.items():
                # storescu parses and encodes the header anew, the pixels it copies
                if read_file_meta_info(path).TransferSyntaxUID.is_encapsulated:
                    assert _pixels(stored[uid]) == _pixels(_data_set(path)), path.name
    assert len(paths) >= 35
    assert len(syntaxes) >= 8


def test_dcmsend_sends_all_on_one_association(tmp_path: Path, shared: Path) -> None:
    equal = read = 0
    for number, sent in enumerate(_rounds(_servable(shared))):
        root = tmp_path / str(number)
        root.mkdir()
        with receiver(root) as node:
            who = ("-aet", "XRAY1", "-aec", "CXRAI", "127.0.0.1", node.port)
            done = _run("dcmsend", "--decompress-never", *who, *sent.values())
            assert done.returncode == 0, done.stderr
            stored = _stored(node)
            assert set(stored) == set(sent)
            equal += sum(stored[uid] == _data_set(path) for uid, path in sent.items())
            read += node.outcomes().count("pneumothorax")
    assert read >= 30
    assert equal >= 25  # DCMTK encodes some headers anew


def test_a_file_without_study_is_refused_to_dcmtk(node: Receiver, shared: Path) -> None:
    who = ("-aet", "XRAY1", "-aec", "CXRAI", "127.0.0.1", node.port)
    done = _run("storescu", "-v", "-xy", *who, shared / "dicom" / NO_STUDY)
    assert done.returncode == 0xA9
    assert node.rows() == [] and node.files() == []


def test_echoscu_is_answered_and_strangers_are_told_why(node: Receiver) -> None:
    address = ["127.0.0.1", str(node.port)]
    known = ["echoscu", "-aet", "XRAY1", "-aec", "CXRAI", *address]
    assert subprocess.run(known, capture_output=True, timeout=60).returncode == 0
    stranger = ["echoscu", "-aet", "STRANGER", "-aec", "CXRAI", *address]
    done = subprocess.run(stranger, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert "Calling AE Title Not Recognized" in done.stderr + done.stdout
