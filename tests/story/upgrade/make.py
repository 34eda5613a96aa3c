"""Write before.tar.xz: a node's data and both its databases, with work in its queue.

They are made by the code of commit 6fecef2, before the house was moved; today's code has
other modules, so this script runs against a checkout of that commit only:

    git worktree add ../before 6fecef2
    PYTHONPATH=../before .venv/bin/python tests/story/upgrade/make.py

`test_upgrade.py` starts today's node on a copy. `left.json` says what receivers took
before: destination, study and kind of each object.
"""

# ruff: noqa: I001 - ruff cannot see which of these modules are ours
import io
import json
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dicom_node import node
from dicom_node.adapters.callers import approve
from dicom_node.adapters.header import describe, read_header
from dicom_node.adapters.orders_book import SqlOrderBook
from dicom_node.adapters.pixels import read_radiograph
from dicom_node.adapters.queue_commitments import SqlCommitments
from dicom_node.domain.admission import admit
from dicom_node.domain.commitment import Report, Request
from dicom_node.domain.errors import GiveUp, TryAgain
from dicom_node.domain.orders import Heard, Order, OrderNumber, PatientKey
from dicom_node.domain.work import Acknowledgement, Arrival, DeliveryBatch
from dicom_node.flow.deliver import deliver_once
from dicom_node.flow.infer import Reader, work_once
from dicom_node.phantom import phantom_dx
from dicom_node.settings import load_settings
from dicom_node.writing import writer
from tests.faults.reader import AlwaysUrgent
from tests.postgres_server import postgres_server

HERE = Path(__file__).parent
BEGAN_AT = 1_796_000_000.0
LEASE_S = 15.0
NOBODY: Mapping[str, object] = dict.fromkeys(
    ("port", "console", "orders", "pacs", "vna", "cloud", "ris", "ward"), 9
)
"""Ports: nothing is sent over the network here."""


@dataclass
class Before:
    """The old node, turned by hand; its clock goes on by a tenth of a second a look."""

    parts: node.Parts
    taken: list[tuple[str, str, str]] = field(default_factory=list)
    now: float = BEGAN_AT

    def clock(self) -> float:
        self.now += 0.1
        return self.now

    def receive(self, seed: int, **changes: str) -> str:
        """Take a film in; gives its study."""
        ds = phantom_dx(seed, "right", made_at=BEGAN_AT, rows=256, columns=256)
        # squares of one grey, so that films and pictures of them take little room when packed
        coarse = np.frombuffer(ds.PixelData, "<u2").reshape(256, 256)[::8, ::8]
        ds.PixelData = coarse.repeat(8, 0).repeat(8, 1).tobytes()
        for keyword, value in changes.items():
            setattr(ds, keyword, value)
        buffer = io.BytesIO()
        ds.save_as(buffer, enforce_file_format=True)
        file = self.parts.archive.put([buffer.getvalue()], "instances", ".dcm")
        instance = describe(read_header(self.parts.archive.path(file.key)))
        arrival = Arrival(instance, file, "XRAY1", "CXRAI", "127.0.0.1", self.clock())
        self.parts.ledger.record(arrival, admit(instance, "XRAY1", self.parts.settings.routes))
        return instance.study_uid

    def read(self) -> None:
        parts = self.parts
        write = writer(parts.settings, parts.engine, parts.archive)
        reader = Reader(read_header, read_radiograph, {"pneumothorax": AlwaysUrgent()})
        ledger, archive = parts.ledger, parts.archive
        assert work_once(ledger, archive, reader, write, "work", clock=self.clock, lease_s=LEASE_S)

    def deliver(self, to: str, error: Exception | None = None) -> None:
        """Send one study's objects; an `error` is what the destination answers."""

        def send(
            batch: DeliveryBatch, path_of: Callable[[str], Path]
        ) -> tuple[Acknowledgement, ...]:
            if error is not None:
                raise error
            self.taken += [(to, one.study_uid, one.kind) for one in batch.deliveries]
            return tuple(Acknowledgement(one.id, "taken") for one in batch.deliveries)

        ledger, archive = self.parts.ledger, self.parts.archive
        assert deliver_once(
            ledger,
            archive,
            {to: send},
            "deliver",
            destination=to,
            clock=self.clock,
            lease_s=LEASE_S,
        )

    def ask_to_commit(self) -> Request:
        book = SqlCommitments(self.parts.engine)
        request = book.ask("vna", self.clock())
        assert request is not None
        book.asked(request, self.clock(), 3600.0)
        return request


def work(before: Before) -> dict[str, str]:
    """Leave work of every kind; gives the study of each."""
    ledger, engine = before.parts.ledger, before.parts.engine
    studies = {"done": before.receive(1)}
    before.read()
    for destination in ("pacs", "vna", "cloud", "ris"):
        before.deliver(destination)
    request = before.ask_to_commit()
    kept = tuple(one.sop_instance_uid for one in request.objects)
    SqlCommitments(engine).hear(Report(request.transaction_uid, kept), ["vna"], before.clock())

    studies["alert refused"] = before.receive(2)
    before.read()
    before.deliver("pacs")
    before.deliver("vna")
    before.deliver("ris", GiveUp("AR unknown patient"))

    studies["half delivered"] = before.receive(3)
    before.read()
    before.deliver("pacs")
    before.deliver("vna")
    before.deliver("cloud", TryAgain("connection refused"))  # what waits longest: the study before
    before.ask_to_commit()  # about both studies; no report yet

    studies["delivery leased"] = before.receive(4)
    before.read()
    assert ledger.claim_deliveries("deliver@dead:7", before.clock(), LEASE_S, "pacs")

    studies["no chest"] = before.receive(5, BodyPartExamined="HAND")
    studies["being read"] = before.receive(6)
    assert ledger.claim_jobs("work@dead:6", before.clock(), LEASE_S)
    studies["waiting"] = before.receive(7)
    order = Order(
        "NW",
        accession_number="ORDER8",
        placer=OrderNumber("PLACER8", "RIS"),
        patient=PatientKey("PHANTOM-8-right"),
        priority="urgent",
    )
    SqlOrderBook(engine).store(Heard((order,)), before.clock())
    studies["ordered"] = before.receive(8, AccessionNumber="ORDER8")
    ledger.record_caller("NEWROOM", "127.0.0.1", before.clock())
    assert approve(engine, "NEWROOM", "127.0.0.1", before.clock())
    return studies


def fill(folder: Path, url: str) -> dict[str, object]:
    """Make data folder and database; gives what a test must know of them."""
    config = folder / "node.toml"
    template = (HERE / "node.toml").read_text()
    config.write_text(template.format(url=url, reader="tests.faults.reader", **NOBODY))
    before = Before(node.open_parts(load_settings(config), migrate=True))
    studies = work(before)
    before.parts.close()
    return {"ended_at": before.now, "studies": studies, "taken": before.taken}


def dump(port: int) -> str:
    """Give a database of Postgres as SQL that any client can run."""
    command = ["pg_dump", "--inserts", "--no-owner", "-h", "127.0.0.1", "-p", str(port)]
    ran = subprocess.run(
        [*command, "-U", "postgres", "before"], capture_output=True, text=True, check=True
    )
    lines = ran.stdout.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("\\"))  # for psql alone


def main() -> None:
    with tempfile.TemporaryDirectory() as made:
        folder, other = Path(made, "node"), Path(made, "other")
        folder.mkdir()
        other.mkdir()
        known = fill(folder, "sqlite:///var/node.db")
        with postgres_server() as server:
            assert fill(other, server.create("before")) == known
            (folder / "var" / "postgres.sql").write_text(dump(server.port))
        files = [_files(one / "var" / "archive") for one in (folder, other)]
        assert files[0] == files[1], "one archive serves both databases"
        (folder / "var" / "left.json").write_text(json.dumps(known, indent=1))
        with tarfile.open(HERE / "before.tar.xz", "w:xz") as tar:
            tar.add(folder / "var", "var")


def _files(archive: Path) -> dict[str, bytes]:
    files = (one for one in archive.rglob("*") if one.is_file())
    return {str(one.relative_to(archive)): one.read_bytes() for one in files}


if __name__ == "__main__":
    main()
