"""A site: its configuration, database and archive, worked without processes."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Table, select

from dicom_node.assembly import pipelines
from dicom_node.assembly.builders import writer
from dicom_node.assembly.parts import Parts
from dicom_node.domain.admission import admit
from dicom_node.domain.work import Arrival, Recorded
from dicom_node.flow.infer import InferenceContext, Worker, work_once
from dicom_node.formats.dicom.header import describe, read_header
from dicom_node.settings.settings import Settings
from dicom_node.storage.database.transactions import transaction

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


@dataclass
class Site:
    config: Path
    settings: Settings
    parts: Parts

    def receive(self, path: Path) -> str:
        """Take one file in, as the receiver does; gives its SOP Instance UID."""
        instance = describe(read_header(path))
        file = self.parts.archive.put([path.read_bytes()], "instances", ".dcm")
        arrival = Arrival(instance, file, "CR1", "CXRAI", "10.0.0.9", time.time())
        admission = admit(instance, "CR1", self.settings.routes)
        assert self.parts.ledger.record(arrival, admission) is Recorded.NEW
        return instance.ref.sop_instance_uid

    def reader(self) -> InferenceContext:
        return pipelines.reader(self.settings)

    def work(self, reader: InferenceContext) -> bool:
        parts = self.parts
        write = writer(self.settings, parts.engine, parts.archive)
        return work_once(Worker("w", parts.ledger, parts.archive, reader, write, time.time, 60))

    def rows(self, table: Table) -> list[Any]:
        with transaction(self.parts.engine, writing=False) as conn:
            return list(conn.execute(select(table).order_by(table.c.id)))


MakeSite = Callable[[str], Site]
