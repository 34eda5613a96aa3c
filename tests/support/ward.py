"""A node worked in this process, with a pipeline that says what a test wants."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from sqlalchemy import select

from dicom_node.assembly import destinations
from dicom_node.assembly import parts as node
from dicom_node.assembly.builders import writer
from dicom_node.assembly.negotiation import refusal_learner
from dicom_node.assembly.parts import Parts
from dicom_node.commands.cli import main
from dicom_node.commands.demo.phantom import phantom_dx
from dicom_node.domain import codes
from dicom_node.domain.admission import admit
from dicom_node.domain.findings import (
    Algorithm,
    Finding,
    Findings,
    OperatingPoint,
    Presence,
    Segment,
    Side,
)
from dicom_node.domain.pipeline import Check
from dicom_node.domain.study import Radiograph
from dicom_node.domain.work import Arrival
from dicom_node.flow.deliver import Outbox, deliver_once
from dicom_node.flow.infer import InferenceContext, Worker, work_once
from dicom_node.formats.dicom.header import describe, read_header
from dicom_node.formats.dicom.pixels.radiograph import read_radiograph
from dicom_node.settings.settings import load_settings
from dicom_node.storage.database.schema import deliveries, objects
from dicom_node.storage.database.transactions import transaction


@dataclass
class Scripted:
    """A pneumothorax reader of a given version and conclusion."""

    version: str = "1"
    presence: Presence = Presence.PRESENT
    name: str = "pneumothorax"
    device: str = "none"

    def read(self, radiograph: Radiograph) -> Findings:
        mask = np.zeros(radiograph.pixels.shape, bool)
        mask[40:120, 30:80] = True
        present = self.presence is Presence.PRESENT
        finding = Finding(
            codes.PNEUMOTHORAX,
            self.presence,
            0.9 if present else 0.1,
            OperatingPoint("balanced", 0.5, 0.9, 0.9),
            codes.PLEURA,
            side=Side.RIGHT if present else Side.UNDETERMINED,
            urgent=present,
            segment=Segment(mask, "Pneumothorax") if present else None,
        )
        return Findings(Algorithm(self.name, self.version, self.version * 64), (finding,))

    def verify(self) -> tuple[Check, ...]:
        return ()


@dataclass
class Ward:
    """The parts of a node, turned by hand."""

    parts: Parts
    film: Path
    model: Scripted = field(default_factory=Scripted)
    more: tuple[Scripted, ...] = ()
    """Other pipelines."""

    def receive(self) -> None:
        instance = describe(read_header(self.film))
        file = self.parts.archive.put([self.film.read_bytes()], "instances", ".dcm")
        arrival = Arrival(instance, file, "CR1", "CXRAI", "10.0.0.9", time.time())
        self.parts.ledger.record(arrival, admit(instance, "CR1", self.parts.settings.routes))

    def work(self) -> bool:
        parts = self.parts
        write = writer(parts.settings, parts.engine, parts.archive)
        reader = InferenceContext(
            read_header, read_radiograph, {one.name: one for one in (self.model, *self.more)}
        )
        return work_once(Worker("w", parts.ledger, parts.archive, reader, write, time.time, 60))

    def deliver(self) -> int:
        parts = self.parts
        senders = destinations.senders(parts.settings)
        learn = refusal_learner(parts)
        outbox = Outbox("d", parts.ledger, parts.archive, senders, time.time, 60, learn)
        return deliver_once(outbox)

    def settle(self) -> int:
        """Work and deliver until nothing is due; gives the number of turns taken."""
        turns = 0
        while self.work() or self.deliver():
            turns += 1
            assert turns < 30, "it goes round in circles"
        return turns

    def sent(self) -> list[tuple[str, str, str]]:
        """Destination, kind and state of every delivery, in order."""
        rows = select(deliveries.c.destination, objects.c.kind, deliveries.c.state).join_from(
            deliveries, objects, deliveries.c.object_id == objects.c.id
        )
        with transaction(self.parts.engine, writing=False) as conn:
            found = conn.execute(rows.order_by(deliveries.c.id))
            return [(row.destination, row.kind, row.state) for row in found]


MakeWard = Callable[[str], Ward]


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "film.dcm"
    phantom_dx(2, "right", made_at=1.7e9, rows=384, columns=320).save_as(
        path, enforce_file_format=True
    )
    return path


@pytest.fixture
def make_ward(tmp_path: Path, film: Path) -> Iterator[MakeWard]:
    """Configure a node with peers, receivers and routes."""
    made: list[Ward] = []

    def make(configuration: str) -> Ward:
        config = tmp_path / "node.toml"
        config.write_text("[receive]\nmin_free_gb = 0.1\n" + configuration)
        parts = node.open_parts(load_settings(config), migrate=True)
        made.append(Ward(parts, film))
        return made[-1]

    yield make
    for ward in made:
        ward.parts.close()


def study_of(ward: Ward) -> str:
    return str(dcmread(ward.film, stop_before_pixels=True).StudyInstanceUID)


def read_again(ward: Ward, model: Scripted, capsys: pytest.CaptureFixture[str]) -> None:
    ward.model = model
    config = ward.parts.settings.node.data_dir.parent / "node.toml"
    assert main(["reanalyse", "-c", str(config), "--study", study_of(ward)]) == 0
    assert "1 images wait" in capsys.readouterr().out
    ward.settle()
