"""A node of separate processes that tests kill and start again."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from pydicom.uid import generate_uid

from dicom_node.assembly import parts
from dicom_node.commands.demo.phantom import phantom_dx
from dicom_node.domain.study import Peer
from dicom_node.network.dimse import scu
from dicom_node.network.dimse.association import Target
from dicom_node.network.dimse.options import Timeouts, prepare
from dicom_node.process import crash_points
from dicom_node.settings.settings import load_settings
from tests.support.listeners import HL7Listener, Storescp, free_port, until
from tests.support.paths import ROOT
from tests.support.rude_pacs import RudePacs

CONFIGURATION = """\
[node]
host = "127.0.0.1"
port = {port}
data_dir = "{folder}/var"
[database]
url = "{url}"
[inference]
gate = ""
[receive]
min_free_gb = 0.1
[logs]
format = "json"
[pipelines]
pneumothorax = "tests.support.stand_in_reader"
[[peers]]
name = "modality"
ae_title = "MODALITY"
host = "127.0.0.1"
[[peers]]
name = "pacs"
ae_title = "PACS"
host = "127.0.0.1"
port = {pacs}
[[hl7]]
name = "ris"
host = "127.0.0.1"
port = {ris}
[[routes]]
name = "chest"
outputs = ["seg", "sr", "sc"]
send_to = ["pacs"]
notify = ["ris"]
"""
OBJECTS = {"SEG": 1, "SR": 1, "OT": 1}
"""What one film gives the PACS, by modality."""
POINTS: dict[str, tuple[str, ...]] = {
    "receive": (
        "file written",
        "file renamed",
        "instance stored",
        "uncommitted",
        "instance recorded",
    ),
    "work": (
        "jobs claimed",
        "file written",
        "file renamed",
        "results made",
        "uncommitted",
        "jobs finished",
    ),
    "deliver": ("deliveries claimed", "objects sent", "uncommitted", "deliveries settled"),
}
COMMITMENT_POINTS = ("commitment asked", "commitment accepted", "commitment heard")
"""Tried where a PACS is asked: tests/abuse/faults/test_commitment.py."""


@dataclass
class Role:
    """A process that is started again when it dies, as a supervisor would."""

    name: str
    config: Path
    kind: str = ""
    """Which role it runs, where several run the same; empty: its name."""
    environment: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    deaths: int = 0

    def start(self) -> None:
        with (self.config.parent / f"{self.config.stem}-{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "tests.support.role",
                    self.kind or self.name,
                    str(self.config),
                ],
                cwd=ROOT,
                stdout=log,
                stderr=log,
                env={**os.environ, "OMP_NUM_THREADS": "1", **self.environment},
            )

    def tend(self) -> None:
        """Start it again if it died."""
        if self.process is None or self.process.poll() is not None:
            self.deaths += self.process is not None
            self.start()

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(60)
            self.process = None


@dataclass
class RoleProcesses:
    """Roles, the PACS and the RIS that they serve, and what a modality sends."""

    config: Path
    pacs: Storescp | RudePacs
    ris: HL7Listener
    roles: list[Role]
    film: Path
    sent: list[str] = field(default_factory=list)
    """Study UIDs that the node acknowledged."""
    _tending: threading.Event = field(default_factory=threading.Event)
    _read: dict[Path, tuple[str, str]] = field(default_factory=dict)
    """Study and modality of the files at the PACS that were complete."""

    def role(self, name: str) -> Role:
        return next(role for role in self.roles if role.name == name)

    def send(self, port: int | None = None, uid: str = "") -> str:
        """Send a new film again and again until it is acknowledged, as modalities do."""
        ds = dcmread(self.film)
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = uid or generate_uid()
        ds.StudyInstanceUID, ds.SeriesInstanceUID = generate_uid(), generate_uid()
        path = self.config.parent / f"{ds.SOPInstanceUID}.dcm"
        ds.save_as(path, enforce_file_format=True)
        settings = load_settings(self.config)
        us = Peer("node", settings.node.ae_title, "127.0.0.1", port or settings.node.port)
        target = Target(us, "MODALITY", Timeouts(connect_s=2, acse_s=5, dimse_s=10))
        give_up_at = time.monotonic() + 60
        while True:
            (result,) = scu.store([scu.outgoing(path)], target)
            if isinstance(result, str):
                self.sent.append(str(ds.StudyInstanceUID))
                return self.sent[-1]
            assert time.monotonic() < give_up_at, result
            time.sleep(0.1)

    def arrivals(self) -> dict[str, Counter[str]]:
        """Count the objects at the PACS, by modality, of each study that was sent."""
        for path in self.pacs.files:
            if path in self._read:
                continue
            try:
                ds = dcmread(path, stop_before_pixels=True)
            except (OSError, InvalidDicomError):
                continue  # being written
            if ds.get("StudyInstanceUID") and ds.get("Modality"):
                self._read[path] = (str(ds.StudyInstanceUID), str(ds.Modality))
        found = {uid: Counter[str]() for uid in self.sent}
        for study_uid, kind in self._read.values():
            if study_uid in found:
                found[study_uid][kind] += 1
        return found

    def alerts(self, study_uid: str) -> set[bytes]:
        """Give the control identifiers (MSH-10) of the messages about a study."""
        return {
            message.split(b"|")[9] for message in self.ris.messages if study_uid.encode() in message
        }

    def wait_for(self, study_uid: str, timeout_s: float = 180) -> None:
        until(
            lambda: self.arrivals()[study_uid] == OBJECTS and bool(self.alerts(study_uid)),
            f"results of {study_uid}",
            timeout_s,
        )

    def tend(self) -> None:
        while not self._tending.wait(0.05):
            for role in self.roles:
                role.tend()

    @contextmanager
    def tended(self) -> Iterator[None]:
        """Keep all roles running while the block runs."""
        for role in self.roles:
            role.tend()
        nurse = threading.Thread(target=self.tend)
        nurse.start()
        try:
            yield
        finally:
            self._tending.set()
            nurse.join()
            for role in self.roles:
                role.end()

    def restart(self, name: str, environment: Mapping[str, str]) -> None:
        """Give a role another environment and wait until it has started with it."""
        role = self.role(name)
        role.environment = environment
        before = role.process
        assert before is not None
        before.kill()
        until(lambda: role.process is not before and role.process is not None, f"{name} again")


@contextmanager
def role_processes(
    folder: Path,
    names: tuple[str, ...],
    url: str = "",
    *,
    extra: Sequence[Role] = (),
    receivers: tuple[RudePacs, HL7Listener] | None = None,
) -> Iterator[RoleProcesses]:
    """Run roles, a PACS and a RIS below `folder`; every process ends with the block.

    `extra` are roles beside those named, whose `config` is set here; `receivers` a PACS
    and a RIS in place of good ones.
    """
    prepare()
    film = folder / "film.dcm"
    phantom_dx(2, "right", made_at=1.7e9, rows=300, columns=260).save_as(
        film, enforce_file_format=True
    )
    peers = receivers or (Storescp(folder / "pacs", ae_title="PACS"), HL7Listener())
    with peers[0] as pacs, peers[1] as ris:
        config = folder / "node.toml"
        known = {"port": free_port(), "pacs": pacs.port, "ris": ris.port, "folder": folder}
        config.write_text(CONFIGURATION.format(url=url or f"sqlite:///{folder}/node.db", **known))
        parts.open_parts(load_settings(config), migrate=True).close()
        roles = [Role(name, config) for name in names]
        roles += [replace(role, config=config) for role in extra]
        made = RoleProcesses(config, pacs, ris, roles, film)
        with made.tended():
            yield made


def crash_at(folder: Path, role: str, point: str) -> dict[str, str]:
    """The environment that lets a role die once at a point."""
    mark = folder / f"{role}-{point.replace(' ', '-')}"
    return {crash_points.AT: f"{role}:{point}", crash_points.MARK: str(mark)}


def died(environment: Mapping[str, str]) -> bool:
    """Whether the role did die there."""
    return Path(environment[crash_points.MARK]).exists()
