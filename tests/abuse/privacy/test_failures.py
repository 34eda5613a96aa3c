"""A marked patient goes through every failure; no log, metric, status or page names it."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom import Dataset
from pynetdicom import AE, AllStoragePresentationContexts, evt

from dicom_node.assembly import parts
from dicom_node.audit.chain import messages, verify
from dicom_node.commands import cli
from dicom_node.commands.demo.phantom import phantom_dx
from dicom_node.domain.errors import NodeError
from dicom_node.domain.study import Peer
from dicom_node.network.dimse.association import Target
from dicom_node.network.dimse.files import send_paths
from dicom_node.network.dimse.options import prepare
from dicom_node.network.hl7.mllp import Timeouts, deliver
from dicom_node.settings.settings import load_settings
from dicom_node.storage.archive.room import MEMORY
from tests.abuse.privacy.marks import ACCESSION, BIRTH_DATE, MARKS, NAME, PATIENT_ID
from tests.support.dimse_peers import running_scp
from tests.support.listeners import HL7Listener, free_port, until
from tests.support.paths import ROOT

CONFIGURATION = """
[node]
host = "127.0.0.1"
port = {dimse}
[inference]
gate = ""
[receive]
min_free_gb = 0.1
[archive]
key_file = "keys"
[audit]
file = "audit.log"
[console]
port = {console}
[dicomweb]
port = {web}
[orders]
port = {orders}
callers = ["127.0.0.1"]
[pipelines]
pneumothorax = "tests.abuse.privacy.indiscreet_reader"
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
[[fhir]]
name = "emr"
url = "http://127.0.0.1:{closed}/fhir"
[[stow]]
name = "cloud"
url = "http://127.0.0.1:{closed}/dicom-web"
[[routes]]
name = "chest"
outputs = ["seg", "sr", "sc", "pdf"]
send_to = ["pacs", "cloud"]
notify = ["ris", "emr"]
"""


@dataclass
class OneProcess:
    """A running node, and what it printed."""

    config: Path
    ports: dict[str, int]
    printed: Path

    def get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports['console']}{path}") as answer:
            return str(answer.read().decode())

    def events(self) -> list[str]:
        lines = self.printed.read_text().splitlines()
        return [json.loads(line).get("event", "") for line in lines if line.startswith("{")]


@contextmanager
def indiscreet_pacs() -> Iterator[int]:
    """A PACS that refuses every object and says whose it was."""

    def refuse(_event: evt.Event) -> Dataset:
        answer = Dataset()
        answer.Status, answer.ErrorComment = 0xC000, f"{NAME} {PATIENT_ID}"
        return answer

    def prepare(ae: AE) -> None:
        ae.ae_title, ae.supported_contexts = "PACS", AllStoragePresentationContexts
        ae.add_supported_context("1.2.840.10008.1.1")

    with running_scp(refuse, prepare_ae=prepare) as scp:
        yield scp.target.peer.port


@pytest.fixture
def node(tmp_path: Path) -> Iterator[OneProcess]:
    prepare()
    ports = {name: free_port() for name in ("dimse", "console", "web", "orders", "closed")}
    (tmp_path / "keys").write_text("A" * 43 + "=\n")
    (tmp_path / "keys").chmod(0o600)
    config, printed = tmp_path / "node.toml", tmp_path / "printed"
    with indiscreet_pacs() as pacs, HL7Listener("AE", text=f"unknown patient {NAME}") as ris:
        config.write_text(CONFIGURATION.format(**ports, pacs=pacs, ris=ris.port))
        parts.open_parts(load_settings(config), migrate=True).close()
        with printed.open("wb") as output:
            command = [sys.executable, "-m", "tests.abuse.privacy.one_process", config]
            process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output)
        node = OneProcess(config, ports, printed)
        try:
            ready = {"worker_ready", "scp_started", "stow_started", "orders_ready"}
            until(lambda: ready <= set(node.events()), "the node", 60)
            yield node
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def films(folder: Path) -> dict[str, Path]:
    """Two sound films, one of them with other pixels under its UID, and damaged ones."""
    paths = {}
    for number, name in enumerate(("urgent", "failing", "conflict", "broken", "nameless", "junk")):
        ds = phantom_dx(1, made_at=1e9, rows=320, columns=300, patient_name=NAME)
        ds.PatientID, ds.AccessionNumber, ds.PatientBirthDate = PATIENT_ID, ACCESSION, BIRTH_DATE
        ds.SOPInstanceUID = f"1.2.3.{number}"
        if name == "conflict":
            ds.SOPInstanceUID, ds.PatientComments = "1.2.3.0", NAME
        if name == "broken":
            ds.PixelData = ds.PixelData[:-100]
        if name == "nameless":
            ds.StudyInstanceUID = ""
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        paths[name] = folder / f"{name}.dcm"
        ds.save_as(paths[name], enforce_file_format=True)
    junk = paths["junk"].read_bytes()
    paths["junk"].write_bytes(junk[: junk.index(NAME.encode()) + 4] + b"\xff" * 50)
    return paths


def send(node: OneProcess, path: Path, ae_title: str = "MODALITY") -> str:
    target = Target(Peer("node", "CXRAI", "127.0.0.1", node.ports["dimse"]), ae_title)
    try:
        return str([one.fate for one in send_paths([path], target, lambda _: None)])
    except NodeError as error:
        return type(error).__name__


def post(node: OneProcess, body: bytes) -> int:
    kind = 'multipart/related; type="application/dicom"; boundary=cut'
    url = f"http://127.0.0.1:{node.ports['web']}/studies"
    request = urllib.request.Request(url, body, {"Content-Type": kind})
    try:
        with urllib.request.urlopen(request) as answer:  # noqa: S310 - loopback
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def part(content: bytes) -> bytes:
    return b"--cut\r\nContent-Type: application/dicom\r\n\r\n" + content + b"\r\n--cut--\r\n"


def order(text: str) -> bytes:
    head = f"MSH|^~\\&|RIS|H|CXRAI|H|20240101||{text}"
    patient = f"PID|1||{PATIENT_ID}^^^{NAME}||{NAME}^X||{BIRTH_DATE}"
    return "\r".join((head, patient, f"ORC|NW|{ACCESSION}", "OBR|1|", "")).encode()


def provoke(node: OneProcess, folder: Path) -> None:
    """Make everything fail that a patient's data goes through."""
    made = films(folder)
    for name in made:
        send(node, made[name])
    send(node, made["urgent"], "STRANGER")
    assert post(node, part(made["junk"].read_bytes())) >= 400
    assert post(node, part(made["nameless"].read_bytes())) >= 400
    assert post(node, b"--cut\r\n" + NAME.encode()) >= 400
    for text in ("ORM^O01|1|P|2.4", "ORM^O01|1|T|2.4", f"ADT^A99^{NAME}|2|P|2.4", f"{NAME}|3|P|9"):
        try:
            deliver(order(text), "127.0.0.1", node.ports["orders"], Timeouts(5, 10))
        except NodeError:
            continue


def shown(node: OneProcess, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """Gather all that is to be seen of the node without asking for a patient's data."""
    found = {path: node.get(path) for path in ("/", "/status.json", "/metrics", "/healthz")}
    for arguments in ([], ["--json"]):
        cli.main(["status", "-c", str(node.config), *arguments])
        found[f"status {arguments}"] = capsys.readouterr().out
    return found


def test_no_failure_names_the_patient(
    node: OneProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    provoke(node, tmp_path)
    wanted = {
        "instance_received",
        "instance_refused",
        "instance_conflict",
        "caller_refused",
        "jobs_finished",
        "jobs_discarded",
        "thread_crashed",
        "delivery_discarded",
        "delivery_postponed",
        "part_refused",
    }
    until(lambda: wanted <= set(node.events()), f"one of {wanted}", 90)
    settings = load_settings(node.config)
    gone = {"pacs", "ris"}
    until(
        lambda: gone <= {one.where for one in parts.status_snapshot(settings).dead_letters},
        "the dead letters",
        60,
    )
    seen = shown(node, capsys)
    seen["printed"] = node.printed.read_text()
    for where, text in seen.items():
        for mark in MARKS:
            assert mark not in text, f"{where}: {text[max(0, text.index(mark) - 300) :][:400]}"
    dead = parts.status_snapshot(settings).dead_letters
    assert any(NAME in one.words for one in dead), "the PACS did not quote the patient"
    cli.main(["status", "-c", str(node.config), "--quoted"])
    assert NAME in capsys.readouterr().out  # who asks for a destination's words has them
    log = Path(settings.audit.file)
    verify(log)
    trail = "".join(text for _, _, text in messages(log, 0, 10_000))
    assert PATIENT_ID in trail
    assert NAME not in trail and BIRTH_DATE not in trail
    files = [path for path in (tmp_path / "var" / "archive").rglob("*") if path.is_file()]
    assert files
    assert not any(NAME.encode() in path.read_bytes() for path in files)
    rooms = MEMORY / f"dicom-node-{os.getuid()}"
    until(lambda: not list(rooms.glob("*/*.dcm")), "the end of the plain copies")


@pytest.mark.parametrize(
    ("command", "place"),
    [
        ("work", "work.run"),
        ("status", "parts.status_snapshot"),
        ("check", "check.all_checks"),
        ("retry", "parts.open_parts"),
    ],
)
def test_an_error_that_nobody_foresaw_ends_a_process_without_its_words(
    command: str, place: str, tmp_path: Path
) -> None:
    (tmp_path / "node.toml").write_text("")
    code = (
        "import resource, sys, warnings\n"
        "from dicom_node.assembly import parts\n"
        "from dicom_node.commands import check, cli\n"
        "from dicom_node.roles import work\n"
        "def fail(*_):\n"
        f"    warnings.warn('{NAME}')\n"
        "    print(resource.getrlimit(resource.RLIMIT_CORE)[0], 'bytes of memory are kept')\n"
        f"    raise ValueError('{PATIENT_ID}')\n"
        f"{place} = fail\n"
        "sys.exit(cli.main([sys.argv[2], '-c', sys.argv[1], *sys.argv[3:]]))"
    )
    more = ["--all-dead"] if command == "retry" else []
    ended = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "node.toml", command, *more],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 1
    assert "0 bytes of memory are kept" in ended.stdout
    said = ended.stdout + ended.stderr
    assert "crashed" in said and "ValueError" in said
    assert not any(mark in said for mark in MARKS)
