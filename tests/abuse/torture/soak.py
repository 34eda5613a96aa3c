"""Run the node under steady load and watch its memory and file handles: `make soak`.

Real model, small images. Prints a line every half minute and at the end, per role,
what the second half of the run added. Ends with 1 if that is more than a little, or
if an image was not answered in the end.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.uid import generate_uid

from dicom_node.commands.demo.phantom import phantom_dx
from dicom_node.domain.study import Peer
from dicom_node.network.dimse import scu
from dicom_node.network.dimse.association import Target
from tests.support.hospital import RunningNode, configure, running_node
from tests.support.listeners import HL7Listener, Storescp, until

BETWEEN_S = 30.0
MOST_GROWTH_MB = 40.0
"""Per role in the second half; allocators and caches breathe."""
MOST_HANDLES = 5


@dataclass(frozen=True)
class Sample:
    """Resident memory in MB and open file handles of one process."""

    role: str
    memory_mb: float
    handles: int


def samples(supervisor: int) -> Iterator[Sample]:
    """Look at every process that a supervisor started."""
    for entry in Path("/proc").iterdir():
        try:
            if not entry.name.isdigit() or _parent(entry) != supervisor:
                continue
            role = (entry / "cmdline").read_bytes().split(b"\0")[3].decode()
            pages = int((entry / "statm").read_text().split()[1])
            handles = len(list((entry / "fd").iterdir()))
        except (OSError, IndexError):
            continue  # it ended meanwhile
        yield Sample(role, pages * os.sysconf("SC_PAGE_SIZE") / 1e6, handles)


def _parent(entry: Path) -> int:
    return int((entry / "stat").read_text().rpartition(")")[2].split()[1])


def load(node: RunningNode, film: Path, minutes: float, rate: float) -> list[dict[str, Sample]]:
    """Send `rate` images a second; give a sample of all roles every half minute."""
    target = Target(Peer("node", "CXRAI", "127.0.0.1", node.port), "MODALITY")
    started, seen, sent = time.monotonic(), [], 0
    while (spent := time.monotonic() - started) < 60 * minutes:
        (answer,) = scu.store([scu.outgoing(_another(film))], target)
        assert isinstance(answer, str), answer
        sent += 1
        if spent >= BETWEEN_S * (len(seen) + 1):
            seen.append({one.role: one for one in samples(node.process.pid)})
            done = node.snapshot().analysed
            words = ", ".join(
                f"{one.role} {one.memory_mb:.0f} MB {one.handles} handles"
                for one in seen[-1].values()
            )
            print(f"{spent:6.0f} s  {sent} sent, {done} analysed: {words}", flush=True)
        time.sleep(max(0.0, sent / rate - (time.monotonic() - started)))
    until(lambda: node.snapshot().analysed == sent, "the last image", 300)
    print(f"{sent} images in {minutes:g} min, all analysed")
    return seen


def _another(film: Path) -> Path:
    ds = dcmread(film)
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    ds.StudyInstanceUID, ds.SeriesInstanceUID = generate_uid(), generate_uid()
    path = film.with_name("next.dcm")
    ds.save_as(path, enforce_file_format=True)
    return path


def main(arguments: list[str]) -> int:
    """Soak, then compare the end of the run with its middle."""
    parser = argparse.ArgumentParser(prog="tests.abuse.torture.soak")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--rate", type=float, default=5, help="images a second")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        film = folder / "film.dcm"
        phantom_dx(1, "none", made_at=1.7e9, rows=300, columns=260).save_as(
            film, enforce_file_format=True
        )
        with Storescp(folder / "pacs", ae_title="ORTHANC") as pacs, HL7Listener() as ris:
            config = configure(
                folder,
                pacs_port=pacs.port,
                hl7_port=ris.port,
                pipelines=["abnormality"],  # the quickest: two cores must keep up
                outputs=["sr"],
            )
            with running_node(config) as node:
                seen = load(node, film, options.minutes, options.rate)
    if len(seen) < 2:
        print("too short to say anything about growth")
        return 1
    failed = False
    middle, last = seen[len(seen) // 2 - 1], seen[-1]
    for role, end in last.items():
        more_mb = end.memory_mb - middle[role].memory_mb
        handles = end.handles - middle[role].handles
        failed |= more_mb > MOST_GROWTH_MB or handles > MOST_HANDLES
        print(f"{role}: {more_mb:+.1f} MB and {handles:+d} handles in the second half")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
