"""A whole hospital on loopback, for a minute."""

import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress

from dicom_node.commands.demo import story
from dicom_node.commands.demo.hospital import SmallPacs, SmallRis, open_hospital
from dicom_node.commands.demo.phantom import phantom_dx
from dicom_node.commands.options import PATH
from dicom_node.domain.errors import BadSettings, NotAnalysable
from dicom_node.domain.study import Peer
from dicom_node.formats.dicom.header import describe, read_header
from dicom_node.formats.dicom.images import is_dicom, secondary_capture
from dicom_node.network.dimse import scu
from dicom_node.network.dimse.association import Target
from dicom_node.network.dimse.files import SentFile, send_paths
from dicom_node.settings.settings import Settings, load_settings
from dicom_node.storage.database.engine import open_database
from dicom_node.storage.status.status import take_snapshot, timeline

START_LIMIT_S = 120.0
WORK_LIMIT_S = 300.0
FILM = 1024
"""Rows and columns of the phantoms."""
PHANTOMS = (("none", 1), ("right", 2), ("left", 3))
"""Side of the pneumothorax and the phantom's seed."""

CONFIGURATION = """\
[node]
host = "127.0.0.1"
port = {node_port}
institution = "DEMO HOSPITAL"
[receive]
min_free_gb = 0.5
[console]
port = {console_port}
[logs]
format = "json"
[[peers]]
name = "xray"
ae_title = "XRAY1"
host = "127.0.0.1"
[[peers]]
name = "pacs"
ae_title = "DEMOPACS"
host = "127.0.0.1"
port = {pacs_port}
[[hl7]]
name = "ris"
host = "127.0.0.1"
port = {hl7_port}
receiving_application = "RIS"
receiving_facility = "DEMO HOSPITAL"
allow_empty_patient_id = true
[[routes]]
name = "chest"
outputs = ["seg", "sr", "text_sr", "sc"]
send_to = ["pacs"]
notify = ["ris"]
report_not_analysed = true
"""


@click.command()
@click.argument("images", type=PATH, nargs=-1, metavar="[IMAGE]...")
@click.option("--out", type=PATH, default=Path("demo-out"), metavar="DIR")
def demo(images: tuple[Path, ...], out: Path) -> int:
    """Run the demo; returns 0 when every result arrived at its place.

    Raises BadSettings for an image that is not there.
    """
    console = Console(highlight=False)
    missing = [path for path in images if not path.is_file()]
    if missing:
        raise BadSettings(f"{missing[0]}: no such file; name DICOM, PNG or JPEG files")
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    with open_hospital(out / "pacs") as (pacs, ris):
        settings = _configure(out / "node.toml", pacs.port, ris.port)
        console.print(
            f"node {settings.node.ae_title} on port {settings.node.port}, "
            f"PACS DEMOPACS on {pacs.port}, HL7 receiver on {ris.port}; "
            f"the node's log: {out / 'node.log'}"
        )
        with _running_node(out / "node.toml", out / "node.log", settings):
            page = f"http://127.0.0.1:{settings.console.port}/"
            console.print(f"status page while the demo runs: {page}")
            names = _send(_radiographs(images, out / "sent", console), settings, console)
            complete = _wait(settings, len(names))
            _print_story(settings, names, pacs, ris, out, console)
    if not complete:
        console.print(f"[red]not everything arrived within {WORK_LIMIT_S:.0f} s: see node.log[/]")
    return 0 if complete and names else 1


def _configure(path: Path, pacs_port: int, hl7_port: int) -> Settings:
    ports = {"node_port": _free_port(), "console_port": _free_port()}
    path.write_text(CONFIGURATION.format(pacs_port=pacs_port, hl7_port=hl7_port, **ports))
    return load_settings(path)


def _print_story(
    settings: Settings,
    names: dict[str, str],
    pacs: SmallPacs,
    ris: SmallRis,
    out: Path,
    console: Console,
) -> None:
    """Print what happened, study by study, and what came back."""
    urgent = story.urgent_studies(ris.messages)
    engine = open_database(settings.database.url)
    for study_uid, name in names.items():
        story.print_timeline(name, timeline(engine, study_uid), study_uid in urgent, console)
    engine.dispose()
    story.print_results(pacs.received, names, urgent, console)
    for number, message in enumerate(ris.messages, start=1):
        story.print_message(message, out / f"oru-{number}.hl7", console)
    console.print("\nOverlays as PNG:")
    for path in story.save_overlays(pacs.received, names, out):
        console.print(f"  {path}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def _running_node(config: Path, log: Path, settings: Settings) -> Iterator[None]:
    """Run `dicom-node run` as its users do, until the block ends."""
    with log.open("wb") as sink:
        command = [sys.executable, "-m", "dicom_node", "run", "-c", str(config)]
        process = subprocess.Popen(command, stdout=sink, stderr=sink)  # noqa: S603 - our own entry point
        try:
            _await_node(settings, process, log)
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


def _await_node(settings: Settings, process: subprocess.Popen[bytes], log: Path) -> None:
    us = Peer("node", settings.node.ae_title, settings.node.host, settings.node.port)
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise BadSettings(f"the node ended at once; see {log}")
        if scu.echo(Target(us, "XRAY1")).ok:
            return
        time.sleep(0.1)
    raise BadSettings(f"the node did not start within {START_LIMIT_S:.0f} s; see {log}")


def _radiographs(images: Iterable[Path], folder: Path, console: Console) -> list[Path]:
    """Write the phantoms, and the user's images as DICOM, into `folder`."""
    folder.mkdir()
    paths = []
    for side, seed in PHANTOMS:
        ds = phantom_dx(seed, side, made_at=time.time(), rows=FILM, columns=FILM)
        paths.append(folder / f"phantom-{side}.dcm")
        ds.save_as(paths[-1], enforce_file_format=True)
    for image in images:
        try:
            paths.append(image if is_dicom(image) else _convert(image, folder))
        except NotAnalysable as error:
            console.print(f"[red]{image}: {error}[/]")
    return paths


def _convert(image: Path, folder: Path) -> Path:
    path = folder / f"{image.stem}.dcm"
    secondary_capture(image).save_as(path, enforce_file_format=True)
    return path


def _send(paths: list[Path], settings: Settings, console: Console) -> dict[str, str]:
    """Send like a modality; returns the name of each study that was stored."""
    us = Peer("node", settings.node.ae_title, settings.node.host, settings.node.port)
    names: dict[str, str] = {}

    def tell(file: SentFile) -> None:
        console.print(f"sent {file.path.name}: {file.words}")
        if file.fate == "arrived":
            names[describe(read_header(file.path)).study_uid] = file.path.stem

    send_paths(paths, Target(us, "XRAY1"), tell)
    return names


def _wait(settings: Settings, studies: int) -> bool:
    """Show progress until no job and no delivery waits any more."""
    engine = open_database(settings.database.url)
    deadline = time.monotonic() + WORK_LIMIT_S
    with Progress() as progress:
        task = progress.add_task("reading and delivering", total=studies)
        while time.monotonic() < deadline:
            snapshot = take_snapshot(engine, time.time())
            waiting = sum(d.available + d.executing for d in snapshot.deliveries)
            progress.update(
                task, completed=studies - min(studies, snapshot.pending + (waiting > 0))
            )
            if snapshot.pending == 0 and waiting == 0:
                return True
            time.sleep(0.05)
    return False
