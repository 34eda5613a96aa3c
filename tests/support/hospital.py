"""A node of its own process, between receivers, for story tests and the bench."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from dicom_node.domain.operations.status import Moment, StatusSnapshot
from dicom_node.domain.study import Peer
from dicom_node.network.dimse import scu
from dicom_node.network.dimse.association import Target
from dicom_node.network.dimse.options import prepare
from dicom_node.settings.settings import load_settings
from dicom_node.storage.database.engine import open_database
from dicom_node.storage.status.status import take_snapshot, timeline
from tests.support.listeners import free_port, until

CONFIGURATION = """\
[node]
host = "127.0.0.1"
port = {port}
institution = "TEST HOSPITAL"
[database]
url = "{url}"
[inference]
device = "cpu"
workers = {workers}
[receive]
min_free_gb = 0.1
[console]
port = {console}
[logs]
format = "json"
[[peers]]
name = "modality"
ae_title = "MODALITY"
host = "127.0.0.1"
[[peers]]
name = "pacs"
ae_title = "{pacs_title}"
host = "127.0.0.1"
port = {pacs_port}
[[hl7]]
name = "ris"
host = "127.0.0.1"
port = {hl7_port}
receiving_application = "RIS"
receiving_facility = "HOSP"
allow_empty_patient_id = true
[[routes]]
name = "chest"
modality = ["CR", "DX", ""]
pipelines = {pipelines}
outputs = {outputs}
send_to = ["pacs"]
notify = ["ris"]
"""
SETTLE_S = 240.0


@dataclass
class RunningNode:
    """`dicom-node run` and what its database tells."""

    folder: Path
    port: int
    console_port: int
    engine: Engine
    process: subprocess.Popen[bytes]

    @property
    def config(self) -> Path:
        return self.folder / "node.toml"

    @property
    def log(self) -> str:
        return (self.folder / "node.log").read_text()

    def snapshot(self) -> StatusSnapshot:
        return take_snapshot(self.engine, time.time())

    def timeline(self, study_uid: str) -> tuple[Moment, ...]:
        return timeline(self.engine, study_uid)

    def settle(self, received: int, timeout_s: float = SETTLE_S) -> StatusSnapshot:
        """Wait until so many images are received and no work is left."""

        def settled() -> bool:
            census = self.snapshot()
            busy = sum(one.available + one.executing for one in census.deliveries)
            seen = sum(sender.instances for sender in census.senders)
            return seen >= received and census.pending == 0 and busy == 0

        until(settled, f"the end of all work on {received} images", timeout_s)
        return self.snapshot()

    def children(self) -> dict[str, int]:
        """The process id of each role, by the role's name."""
        pids = {}
        listing = subprocess.run(
            ["ps", "-o", "pid=,args=", "--ppid", str(self.process.pid)],
            capture_output=True,
            text=True,
            check=True,
        )
        for line in listing.stdout.splitlines():
            pid, *words = line.split()
            pids[words[words.index("dicom_node") + 1]] = int(pid)
        return pids


def configure(folder: Path, **values: object) -> Path:
    """Write a configuration; the defaults are a PACS and RIS that do not exist."""
    known: dict[str, object] = {
        "port": free_port(),
        "console": free_port(),
        "url": f"sqlite:///{folder}/node.db",
        "workers": 1,
        "pacs_title": "ORTHANC",
        "pacs_port": free_port(),
        "hl7_port": free_port(),
        "pipelines": ["pneumothorax"],
        "outputs": ["seg", "sr", "text_sr", "sc"],
    }
    path = folder / "node.toml"
    path.write_text(CONFIGURATION.format(**(known | values)).replace("'", '"'))
    return path


@contextmanager
def running_node(config: Path) -> Iterator[RunningNode]:
    """Run the node until the block ends, then end it with SIGTERM, as a service would."""
    settings = load_settings(config)
    with (config.parent / "node.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "dicom_node", "run", "-c", str(config)],
            stdout=log,
            stderr=log,
            env={**os.environ, "OMP_NUM_THREADS": "2"},
        )
    prepare()
    us = Peer("node", settings.node.ae_title, "127.0.0.1", settings.node.port)

    def answers() -> bool:
        assert process.poll() is None, (config.parent / "node.log").read_text()[-3000:]
        return scu.echo(Target(us, "MODALITY")).ok

    try:
        until(answers, "the node's C-ECHO", 120)
        engine = open_database(settings.database.url)
        yield RunningNode(config.parent, settings.node.port, settings.console.port, engine, process)
        engine.dispose()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def dcmsend(node: RunningNode, paths: Sequence[Path]) -> None:
    """Send files with DCMTK; fails unless each is answered with success."""
    sent = subprocess.run(
        ["dcmsend", "-v", "-aet", "MODALITY", "-aec", "CXRAI", "127.0.0.1", str(node.port)]
        + [str(path) for path in paths],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TCP_NODELAY": "1"},
    )
    assert sent.returncode == 0, sent.stdout + sent.stderr
    assert f"with status SUCCESS  : {len(paths)}" in sent.stdout + sent.stderr, (
        sent.stdout + sent.stderr
    )
