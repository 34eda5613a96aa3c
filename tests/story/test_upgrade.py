"""Today's node on the data of the one before: what was in flight arrives, once.

`upgrade/make.py` made those data with the code of an earlier commit, and says how.
"""

import json
import shutil
import tarfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import psycopg
import pytest
from pydicom import dcmread
from sqlalchemy import Engine, Float, MetaData

from dicom_node.commands.demo.phantom import phantom_dx
from dicom_node.domain.study import Peer
from dicom_node.network.dimse import scu
from dicom_node.network.dimse.association import Target
from dicom_node.storage.database.engine import open_database
from dicom_node.storage.database.schema import commitments, escalations
from tests.support.committing_pacs import Pacs, call, pacs, report
from tests.support.hospital import running_node
from tests.support.listeners import HL7Listener, Storescp, free_port, until
from tests.support.rows import column
from tests.support.stow_servers import Answer, Request, StowServer, answer_json

pytestmark = pytest.mark.peers

BEFORE = Path(__file__).with_name("upgrade")
KINDS = {"SEG": "seg", "SR": "sr", "OT": "sc"}
OWED = (
    *(("pacs", kind) for kind in KINDS.values()),
    *(("vna", "sr"), ("cloud", "sr"), ("ris", "oru")),
)
"""What a study that is read gives to whom."""
ASKED = """SELECT transaction_uid, sop_instance_uid FROM commitments
    JOIN objects ON objects.id = commitments.object_id WHERE state = 'asked'"""
Taken = Counter[tuple[str, str, str]]
"""How often a destination took an object: destination, study, kind."""


@dataclass
class Receivers:
    """Everybody that gets results, and what they took."""

    pacs: Storescp
    vna: Pacs
    cloud: StowServer
    ris: HL7Listener
    ward: HL7Listener

    def taken(self) -> Taken:
        stored = [("pacs", dcmread(path)) for path in self.pacs.files]
        stored += [("vna", ds) for ds in self.vna.received]
        stored += [
            ("cloud", dcmread(BytesIO(part))) for one in self.cloud.requests for part in one.parts
        ]
        found = Taken((to, str(ds.StudyInstanceUID), KINDS[ds.Modality]) for to, ds in stored)
        for name, listener in (("ris", self.ris), ("ward", self.ward)):
            found.update((name, _study_of(one), "oru") for one in listener.messages)
        return found


def _study_of(message: bytes) -> str:
    return message.partition(b"|113014^DICOM Study^DCM||")[2].partition(b"|")[0].decode()


def _keep(request: Request) -> Answer:
    kept = [str(dcmread(BytesIO(part)).SOPInstanceUID) for part in request.parts]
    return 200, "application/dicom+json", answer_json(kept)


@contextmanager
def receivers(folder: Path) -> Iterator[Receivers]:
    with (
        # a name of its own for each file, so that one that comes twice is seen
        Storescp(folder / "pacs", "--unique-filenames") as pacs_,
        pacs(reports=report) as vna,
        StowServer(_keep) as cloud,
        HL7Listener() as ris,
        HL7Listener() as ward,
    ):
        yield Receivers(pacs_, vna, cloud, ris, ward)


def configure(folder: Path, url: str, to: Receivers) -> Path:
    config = folder / "node.toml"
    ports = {name: getattr(to, name).port for name in ("pacs", "vna", "ris", "ward")}
    cloud = to.cloud.address.rpartition(":")[2]
    config.write_text(
        (BEFORE / "node.toml")
        .read_text()
        .format(
            url=url,
            reader="tests.support.stand_in_reader",
            port=free_port(),
            console=free_port(),
            orders=free_port(),
            cloud=cloud,
            **ports,
        )
    )
    return config


@dataclass
class Left:
    """What the old node left, beside its data."""

    studies: dict[str, str]
    """By what had become of each."""
    taken: Taken
    transaction_uid: str
    """What the VNA was asked and has yet to report on."""
    asked: list[str]
    """The objects of it."""


@pytest.fixture
def left(tmp_path: Path, url: str) -> Left:
    """Lay out the old node's data, as if it had ended a minute ago."""
    with tarfile.open(BEFORE / "before.tar.xz") as tar:
        tar.extractall(tmp_path, filter="data")
    if url.startswith("sqlite"):
        shutil.move(tmp_path / "var" / "node.db", tmp_path / "node.db")
    else:
        with psycopg.connect(url.replace("+psycopg", "")) as connection:
            connection.execute((tmp_path / "var" / "postgres.sql").read_bytes())
    known = json.loads((tmp_path / "var" / "left.json").read_text())
    engine = open_database(url)
    _shift(engine, time.time() - 60 - known["ended_at"])
    with engine.connect() as conn:
        waiting = conn.exec_driver_sql(ASKED).all()
    engine.dispose()
    (uid,) = {row.transaction_uid for row in waiting}
    objects = [str(row.sop_instance_uid) for row in waiting]
    return Left(known["studies"], Taken(map(tuple, known["taken"])), uid, objects)


def _shift(engine: Engine, by_s: float) -> None:
    """Move every time in the database, by its own tables: not those of today."""
    tables = MetaData()
    tables.reflect(engine)
    with engine.begin() as conn:
        for table in tables.tables.values():
            for column in table.columns:
                if isinstance(column.type, Float) and column.name.endswith(("_at", "_until")):
                    moved = table.update().where(column > 0).values({column.name: column + by_s})
                    conn.execute(moved)


def send(port: int, folder: Path) -> str:
    """Send a film as a caller whom a person approved before; gives its study."""
    ds = phantom_dx(9, "right", made_at=time.time(), rows=256, columns=256)
    path = folder / "film.dcm"
    ds.save_as(path, enforce_file_format=True)
    node = Target(Peer("node", "CXRAI", "127.0.0.1", port), "NEWROOM")
    assert [str(one) for one in scu.store([scu.outgoing(path)], node)] == ["0x0000 stored"]
    return str(ds.StudyInstanceUID)


def test_work_in_flight_is_done_and_delivered_once(tmp_path: Path, url: str, left: Left) -> None:
    studies = left.studies
    with receivers(tmp_path) as to, running_node(configure(tmp_path, url, to)) as node:
        studies["new"] = send(node.port, tmp_path)
        snapshot = node.settle(len(studies))
        # the VNA reports on what it was asked before, over an association of its own
        assert call(node.port, report(left.transaction_uid, left.asked)) == 0
        until(
            lambda: set(column(node.engine, commitments, "state")) == {"committed"},
            "the end of all storage commitment",
        )
        steps = {one.step for one in node.timeline(studies["done"])}
        fates = Counter(column(node.engine, escalations, "fate"))
    read = [uid for name, uid in studies.items() if name != "no chest"]
    expected = Taken((to, uid, kind) for uid in read for to, kind in OWED)
    refused = studies["alert refused"]
    expected -= Taken([("ris", refused, "oru")])
    expected += Taken([("ward", refused, "oru")])
    assert left.taken + to.taken() == expected
    assert steps == {"received", "claimed", "finished", "delivered", "committed"}
    assert fates == {"sent": 1, "called off": len(read) - 1}
    assert snapshot.analysed == len(read)
    assert snapshot.not_analysed == (("body part HAND not in route", 1),)
    (letter,) = snapshot.dead_letters
    assert (letter.where, letter.study_uid) == ("ris", refused)
    assert "AR unknown patient" in letter.words
    assert [one.kind for one in snapshot.alarms] == ["delivery_discarded"]
    (ordered,) = (one for one in to.ris.messages if studies["ordered"].encode() in one)
    assert b"\rORC|RE|PLACER8^RIS|" in ordered
