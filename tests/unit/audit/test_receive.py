import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.uid import generate_uid

from dicom_node.assembly import parts
from dicom_node.audit.chain import verify
from dicom_node.audit.node import audited_role
from dicom_node.commands import cli
from dicom_node.commands.demo.phantom import phantom_dx
from dicom_node.domain.errors import TryAgain
from dicom_node.domain.study import Peer
from dicom_node.network.dimse.association import Target
from dicom_node.network.dimse.files import send_paths
from dicom_node.network.dimse.options import prepare
from dicom_node.roles import receive
from dicom_node.settings.settings import Settings
from tests.support.audit import kinds, trail
from tests.support.listeners import until


def film(folder: Path, name: str, like: Dataset | None = None) -> tuple[Path, Dataset]:
    ds = phantom_dx(1, made_at=1e9, rows=64, columns=64)
    if like is not None:
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    path = folder / f"{name}.dcm"
    ds.save_as(path, enforce_file_format=True)
    return path, ds


@contextmanager
def receiving(settings: Settings) -> Iterator[None]:
    parts.open_parts(settings, migrate=True).close()
    stop = threading.Event()

    def run() -> None:
        with audited_role(settings, "receive"):
            receive.run(settings, stop)

    role = threading.Thread(target=run)
    role.start()
    try:
        yield
    finally:
        stop.set()
        role.join(60)


def send(settings: Settings, paths: list[Path], ae_title: str) -> list[str]:
    prepare()
    target = Target(Peer("node", "CXRAI", "127.0.0.1", settings.node.port), ae_title)
    return [one.fate for one in send_paths(paths, target, lambda _: None)]


def listens(settings: Settings) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", settings.node.port)) == 0


def test_what_is_received_and_who_is_refused_is_in_the_trail(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = Path(settings.audit.file)
    first, ds = film(tmp_path, "first")
    second, _ = film(tmp_path, "second", like=ds)
    with receiving(settings):
        until(lambda: listens(settings), "the receiver")
        assert send(settings, [first, second], "XRAY1") == ["arrived", "arrived"]
        assert send(settings, [first], "XRAY1") == ["arrived"]
        for _ in range(2):
            with pytest.raises(TryAgain):
                send(settings, [first], "STRANGER")
    found = kinds(log)
    assert found[:2] == [
        "Security Alert / Security Configuration",
        "Application Activity / Application Start",
    ]
    assert found[-1] == "Application Activity / Application Stop"
    assert found.count("Security Alert / Node Authentication") == 1
    done = [one for one in trail(log) if one.find(".//SOPClass") is not None]
    by_action = {
        one.find("EventIdentification").get("EventActionCode"): [
            uid.get("UID") for uid in one.iter("Instance")
        ]
        for one in done
    }
    assert set(by_action) == {"C", "R"}
    assert len(by_action["C"]) == 2
    assert by_action["R"] == [str(ds.SOPInstanceUID)]
    for one in done:
        study, patient = one.findall("ParticipantObjectIdentification")
        assert study.get("ParticipantObjectID") == ds.StudyInstanceUID
        assert patient.get("ParticipantObjectID") == ds.PatientID
    assert found.count("Begin Transferring DICOM Instances") == 2
    assert verify(log).lines == len(found)
    assert cli.main(["audit", "verify", "-c", str(tmp_path / "node.toml")]) == 0
    assert "unbroken" in capsys.readouterr().out
    log.write_bytes(log.read_bytes().replace(b"STRANGER", b"XRAY1   "))
    assert cli.main(["audit", "verify", "-c", str(tmp_path / "node.toml")]) == 1
    assert "the chain breaks" in capsys.readouterr().err


def test_changed_settings_are_told_once_by_section(settings: Settings) -> None:
    log = Path(settings.audit.file)
    for one in (settings, settings, _louder(settings)):
        with audited_role(one, "work"):
            pass
    alerts = [one for one in kinds(log) if one.startswith("Security Alert")]
    assert alerts == [
        "Security Alert / Security Configuration",
        "Security Alert / Software Configuration",
    ]


def _louder(settings: Settings) -> Settings:
    return settings.model_copy(update={"logs": settings.logs.model_copy(update={"level": "debug"})})


def test_a_node_without_a_trail_writes_none(settings: Settings, tmp_path: Path) -> None:
    silent = settings.model_copy(update={"audit": settings.audit.model_copy(update={"file": ""})})
    with audited_role(silent, "work"):
        pass
    assert list(tmp_path.rglob("*audit*")) == []
