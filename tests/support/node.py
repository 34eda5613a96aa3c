"""A node worked in this process, with a pipeline that says what a test wants."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from sqlalchemy import Table, select

from dicom_node.assembly import destinations, pipelines
from dicom_node.assembly import parts as node
from dicom_node.assembly.builders import writer
from dicom_node.assembly.negotiation import refusal_learner
from dicom_node.assembly.parts import Parts
from dicom_node.commands.cli import main
from dicom_node.commands.demo.phantom import phantom_dx
from dicom_node.domain.admission import admit
from dicom_node.domain.work import Arrival, Recorded
from dicom_node.flow.deliver import Outbox, deliver_once
from dicom_node.flow.infer import InferenceContext, Worker, work_once
from dicom_node.formats.dicom.header import describe, read_header
from dicom_node.formats.dicom.pixels.radiograph import read_film
from dicom_node.settings.settings import Settings, load_settings
from dicom_node.storage.database.schema import deliveries, objects
from dicom_node.storage.database.transactions import transaction
from tests.support.scripted import Scripted

CONFIGURATION = """\
[inference]
device = "cpu"
[[peers]]
name = "pacs"
ae_title = "PACS"
host = "127.0.0.1"
port = 104
[[routes]]
name = "chest"
outputs = ["sr", "seg"]
send_to = ["pacs"]
"""
"""A node with one route, of which more may be said behind it."""


@dataclass
class Node:
    """The parts of a node, turned by hand."""

    config: Path
    parts: Parts
    film: Path = Path()
    """What `receive` takes in where a test names no other."""
    model: Scripted = field(default_factory=Scripted)
    more: tuple[Scripted, ...] = ()
    """Other pipelines."""

    @property
    def settings(self) -> Settings:
        return self.parts.settings

    def receive(self, path: Path | None = None) -> str:
        """Take one file in, as the receiver does; gives its SOP Instance UID."""
        path = path or self.film
        instance = describe(read_header(path))
        file = self.parts.archive.put([path.read_bytes()], "instances", ".dcm")
        arrival = Arrival(instance, file, "CR1", "CXRAI", "10.0.0.9", time.time())
        admission = admit(instance, "CR1", self.settings.routes)
        assert self.parts.ledger.record(arrival, admission) is Recorded.NEW
        return instance.ref.sop_instance_uid

    def configured(self) -> InferenceContext:
        """Load what the configuration reads with: the shipped models."""
        return pipelines.reader(self.settings, self.parts.engine)

    def work(self, reader: InferenceContext | None = None) -> bool:
        """Read one image, with the scripted models where no other `reader` is given."""
        scripted = {one.name: one for one in (self.model, *self.more)}
        reader = reader or InferenceContext(read_header, read_film, scripted)
        ledger, archive = self.parts.ledger, self.parts.archive
        write = writer(self.settings, self.parts.engine, archive)
        return work_once(Worker("w", ledger, archive, reader, write, time.time, 60))

    def deliver(self, destination: str | None = None, now: float | None = None) -> int:
        """Send what is due to one destination or to the first of all; gives how much."""
        senders = destinations.senders(self.settings)
        learn = refusal_learner(self.parts)
        clock = time.time if now is None else lambda: now
        ledger, archive = self.parts.ledger, self.parts.archive
        return deliver_once(Outbox("d", ledger, archive, senders, clock, 60, learn), destination)

    def settle(self) -> int:
        """Work and deliver until nothing is due; gives the number of turns taken."""
        turns = 0
        while self.work() or self.deliver():
            turns += 1
            assert turns < 30, "it goes round in circles"
        return turns

    def read_again(self, model: Scripted) -> None:
        """Have the film read by another model, by the command."""
        self.model = model
        study_uid = str(dcmread(self.film, stop_before_pixels=True).StudyInstanceUID)
        assert main(["reanalyse", "-c", str(self.config), "--study", study_uid]) == 0
        self.settle()

    def rows(self, table: Table) -> list[Any]:
        with transaction(self.parts.engine, writing=False) as conn:
            return list(conn.execute(select(table).order_by(table.c.id)))

    def sent(self) -> list[tuple[str, str, str]]:
        """Destination, kind and state of every delivery, in order."""
        kinds = {row.id: row.kind for row in self.rows(objects)}
        return [(row.destination, kinds[row.object_id], row.state) for row in self.rows(deliveries)]


MakeNode = Callable[[str], Node]


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "film.dcm"
    phantom_dx(2, "right", made_at=1.7e9, rows=384, columns=320).save_as(
        path, enforce_file_format=True
    )
    return path


@pytest.fixture
def make_node(tmp_path: Path, film: Path) -> Iterator[MakeNode]:
    """Configure a node with peers, receivers and routes."""
    made: list[Node] = []

    def make(configuration: str) -> Node:
        config = tmp_path / "node.toml"
        config.write_text("[receive]\nmin_free_gb = 0.1\n" + configuration)
        parts = node.open_parts(load_settings(config), migrate=True)
        made.append(Node(config, parts, film))
        return made[-1]

    yield make
    for one in made:
        one.parts.close()
