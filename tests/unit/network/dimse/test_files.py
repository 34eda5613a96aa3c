"""Sending files and folders, as for back-filling."""

from pathlib import Path

import pytest
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom.events import Event

from dicom_node.domain.errors import TryAgain
from dicom_node.domain.study import Peer
from dicom_node.network.dimse import files
from dicom_node.network.dimse.association import Target
from dicom_node.network.dimse.files import SentFile, send_paths
from dicom_node.network.dimse.options import prepare
from tests.support.dimse_peers import SC, make_object, running_scp, uid_of, wrap
from tests.support.listeners import free_port


@pytest.fixture(autouse=True, scope="module")
def _prepared() -> None:
    prepare()


def fates(sent: tuple[SentFile, ...], root: Path) -> dict[str, str]:
    return {str(one.path.relative_to(root)): one.fate for one in sent}


def test_folder_is_sent_with_all_below_it_and_each_file_is_told(tmp_path: Path) -> None:
    deep = tmp_path / "in" / "deep"
    deep.mkdir(parents=True)
    make_object(deep / "one", uid="1.2.3.1")
    make_object(tmp_path / "in" / "two.dcm", SC, uid="1.2.3.2")
    (deep / "notes.txt").write_text("no DICOM")
    directory = wrap(deep / "DICOMDIR", b"", ExplicitVRLittleEndian).path
    directory.write_bytes(
        directory.read_bytes().replace(
            b"1.2.840.10008.5.1.4.1.1.66.4", b"1.2.840.10008.1.3.10" + bytes(8)
        )
    )
    (tmp_path / "named.txt").write_text("no DICOM either")
    told: list[SentFile] = []
    with running_scp() as scp:
        sent = send_paths([tmp_path / "in", tmp_path / "named.txt"], scp.target, told.append)
    assert fates(sent, tmp_path) == {
        "in/deep/one": "arrived",
        "in/two.dcm": "arrived",
        "in/deep/notes.txt": "skipped",
        "in/deep/DICOMDIR": "skipped",
        "named.txt": "failed",
    }
    assert told == list(sent)
    assert sorted(ds.SOPInstanceUID for ds in scp.decoded()) == ["1.2.3.1", "1.2.3.2"]
    assert scp.associations == 1


def test_conflicts_and_refusals_are_told_in_the_peers_words(tmp_path: Path) -> None:
    statuses = {"1.2.3.1": 0xB007, "1.2.3.2": 0xA900, "1.2.3.3": 0x0000}
    for n, uid in enumerate(statuses):
        make_object(tmp_path / f"{n}", uid=uid)
    with running_scp(lambda event: statuses[uid_of(event)]) as scp:
        conflict, refused, fine = send_paths([tmp_path], scp.target, lambda one: None)
    assert (conflict.fate, conflict.words[:6]) == ("arrived", "0xB007")
    assert (refused.fate, refused.words[:6]) == ("failed", "0xA900")
    assert (fine.fate, fine.words) == ("arrived", "0x0000 stored")


def test_many_files_go_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "FILES_PER_ASSOCIATION", 4)
    for n in range(9):
        make_object(tmp_path / f"{n}", uid=f"1.2.3.{n}")
    with running_scp() as scp:
        sent = send_paths([tmp_path], scp.target, lambda one: None)
    assert [one.fate for one in sent] == ["arrived"] * 9
    assert scp.associations == 3


def test_peer_that_is_away_ends_the_run_after_one_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "FILES_PER_ASSOCIATION", 2)
    for n in range(6):
        make_object(tmp_path / f"{n}", uid=f"1.2.3.{n}")
    told: list[SentFile] = []
    target = Target(Peer("pacs", "PEER", "127.0.0.1", free_port()), "NODE")
    with pytest.raises(TryAgain, match="cannot connect"):
        send_paths([tmp_path], target, told.append)
    assert [one.fate for one in told] == ["failed", "failed"]


def test_passing_fault_of_some_does_not_end_the_run(tmp_path: Path) -> None:
    def full_for_the_first(event: Event) -> int:
        return 0xA700 if uid_of(event) == "1.2.3.0" else 0x0000

    for n in range(2):
        make_object(tmp_path / f"{n}", uid=f"1.2.3.{n}")
    with running_scp(full_for_the_first) as scp:
        sent = send_paths([tmp_path], scp.target, lambda one: None)
    assert [one.fate for one in sent] == ["failed", "arrived"]
