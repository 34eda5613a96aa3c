"""Measure the node between Orthanc and an HL7 listener: `make bench`.

Prints a table; nothing here passes or fails. Turnaround runs from the last byte
received to the last object stored at Orthanc and the ORU acknowledged, as the
node's own database tells it.
"""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from dicom_node.assembly.pipelines import load_gate, load_pipelines
from dicom_node.commands.demo.phantom import phantom_dx
from dicom_node.domain.study import Peer
from dicom_node.flow.infer import InferenceContext, read
from dicom_node.formats.dicom.header import read_header
from dicom_node.formats.dicom.pixels.radiograph import read_film
from dicom_node.network.dimse import scu as dimse_scu
from dicom_node.network.dimse.association import Target
from dicom_node.network.dimse.files import send_paths
from dicom_node.network.dimse.options import prepare
from dicom_node.settings.settings import Settings
from tests.bench import ingest
from tests.support.hospital import RunningNode, configure, running_node
from tests.support.listeners import HL7Listener, Orthanc
from tests.support.raw_scu import IMPLICIT, VERIFICATION, RawSCU

IMAGES = 12
PAUSE_S = 2.0
"""At most 0.5 image/s, so that no image waits for another."""
FILM = 2048
ECHOES = 200
ROUNDS = 15

Row = tuple[str, str, str, str]


def main() -> int:
    """Run every measurement and print the table."""
    console = Console()
    table = Table("quantity", "p50", "p95", "n", title=f"dicom-node, {os.cpu_count()} cores, CPU")
    with tempfile.TemporaryDirectory() as scratch:
        for row in _measure(Path(scratch)):
            table.add_row(*row)
        console.print(table)
        console.print(_ingest(Path(scratch) / "ingest"))
    return 0


def _ingest(folder: Path) -> Table:
    """Compare the receiver with DCMTK's, under the same load in the same run."""
    folder.mkdir()
    table = Table("receiver", "associations", "MB/s", "x default", "CPU s/GB", "most memory")
    measured = ingest.measure(folder)
    default = {one.associations: one.mb_per_s for one in measured if one.receiver == ingest.DEFAULT}
    for one in measured:
        table.add_row(
            one.receiver,
            str(one.associations),
            f"{one.mb_per_s:.0f}",
            f"{one.mb_per_s / default[one.associations]:.2f}",
            f"{one.cpu_s_per_gb:.2f}",
            f"{one.memory_mb:.0f} MB",
        )
    return table


def _measure(folder: Path) -> list[Row]:
    with Orthanc() as orthanc, HL7Listener() as ris:
        config = configure(
            folder,
            pacs_port=orthanc.dicom_port,
            hl7_port=ris.port,
            outputs=["seg", "sr", "sc"],
        )
        with running_node(config) as node:
            rows = [*_turnaround(node, folder), _echo(node), _opening(node)]
        rows.append(_three_results(orthanc))
        return [*rows, _all_tasks(folder)]


def _turnaround(node: RunningNode, folder: Path) -> list[Row]:
    """Send phantoms of 8 MB one by one, every other one with a pneumothorax."""
    films = []
    for number in track(range(IMAGES), "making phantoms"):
        side = ("right", "none", "left", "none")[number % 4]
        ds = phantom_dx(10 + number, side, made_at=time.time(), rows=FILM, columns=FILM)
        films.append((str(ds.StudyInstanceUID), folder / f"{number}.dcm"))
        ds.save_as(films[-1][1], enforce_file_format=True)
    us = Target(Peer("node", "CXRAI", "127.0.0.1", node.port), "MODALITY")
    for _, path in track(films, "turnaround"):
        send_paths([path], us, lambda file: None)
        time.sleep(PAUSE_S)
    node.settle(len(films))
    whole: list[float] = []
    steps: dict[str, list[float]] = {"queue": [], "read and report": [], "deliver": []}
    for study_uid, _ in films[1:]:  # the first one warms the caches
        at = dict.fromkeys(("received", "claimed", "finished", "delivered"), 0.0)
        for moment in node.timeline(study_uid):
            at[moment.step] = moment.at
        whole.append(at["delivered"] - at["received"])
        steps["queue"].append(at["claimed"] - at["received"])
        steps["read and report"].append(at["finished"] - at["claimed"])
        steps["deliver"].append(at["delivered"] - at["finished"])
    return [
        _row("turnaround: last byte in to SEG, SR, SC stored and ORU acknowledged", whole),
        *(_row(f"  {name}", spent) for name, spent in steps.items()),
    ]


def _echo(node: RunningNode) -> Row:
    """Ask by a bare socket: pynetdicom's SCU polls and adds milliseconds of its own."""
    spent = []
    with RawSCU(node.port, ((VERIFICATION, (IMPLICIT,)),), calling=b"MODALITY") as scu:
        for _ in range(ECHOES):
            started = time.perf_counter()
            scu.echo()
            spent.append(time.perf_counter() - started)
        scu.release()
    return _row("C-ECHO round trip on an open association", spent)


def _opening(node: RunningNode) -> Row:
    """Open an association, ask once and release it."""
    spent = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        with RawSCU(node.port, ((VERIFICATION, (IMPLICIT,)),), calling=b"MODALITY") as scu:
            scu.echo()
            scu.release()
        spent.append(time.perf_counter() - started)
    return _row("association, C-ECHO and release", spent)


def _three_results(orthanc: Orthanc) -> Row:
    """Send what Orthanc holds of one study (SEG, SR, SC) back to it, again and again."""
    found = orthanc.rest("/tools/find", {"Level": "Instance", "Query": {"Modality": "SEG"}})
    study = orthanc.rest(f"/instances/{found[0]}/simplified-tags")["StudyInstanceUID"]
    query = {"Level": "Instance", "Query": {"StudyInstanceUID": study}}
    target = Target(Peer("pacs", "ORTHANC", orthanc.host, orthanc.dicom_port), "CXRAI")
    with tempfile.TemporaryDirectory() as scratch:
        files = []
        for name in orthanc.rest("/tools/find", query):
            path = Path(scratch) / f"{name}.dcm"
            path.write_bytes(orthanc.content(f"/instances/{name}/file"))
            files.append(dimse_scu.outgoing(path))
        spent = []
        for _ in range(ROUNDS):
            started = time.perf_counter()
            results = list(dimse_scu.store(files, target))
            spent.append(time.perf_counter() - started)
            if not all(isinstance(result, str) for result in results):
                raise RuntimeError(f"Orthanc did not take the results: {results}")
    return _row(f"{len(files)} results to Orthanc on a fresh association", spent)


def _all_tasks(folder: Path) -> Row:
    """Read one film with every installed task: decode, gate, networks, measurements."""
    settings = Settings()
    reader = InferenceContext(read_header, read_film, load_pipelines(settings), load_gate(settings))
    path = folder / "film.dcm"
    spent_s = []
    for number in range(ROUNDS):
        ds = phantom_dx(700 + number, "right", made_at=time.time(), rows=FILM, columns=FILM)
        ds.save_as(path, enforce_file_format=True)
        started = time.perf_counter()
        read(path, tuple(reader.pipelines), reader)
        spent_s.append(time.perf_counter() - started)
    return _row(f"one image, {len(reader.pipelines)} tasks and the gate", spent_s[1:])


def _row(name: str, spent_s: list[float]) -> Row:
    p95 = statistics.quantiles(spent_s, n=20)[-1]
    return name, _ms(statistics.median(spent_s)), _ms(p95), str(len(spent_s))


def _ms(spent_s: float) -> str:
    return f"{1000 * spent_s:.1f} ms" if spent_s < 0.1 else f"{1000 * spent_s:.0f} ms"


if __name__ == "__main__":
    prepare()
    sys.exit(main())
