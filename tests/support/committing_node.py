"""A node with one committing peer: real database, archive, sender and receiver."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from sqlalchemy import update

from dicom_node.assembly import commitment, destinations
from dicom_node.assembly import parts as node
from dicom_node.domain.reception import Caller
from dicom_node.domain.study import Peer
from dicom_node.domain.work import NewDelivery, Outcome, ReportObject
from dicom_node.flow.commit import request_commitments
from dicom_node.network.dimse.commitment_scu import ask
from dicom_node.roles.receive import run as run_receive
from dicom_node.settings.settings import load_settings
from dicom_node.storage.database.schema import commitments, deliveries
from dicom_node.storage.database.transactions import transaction
from dicom_node.storage.queue.commitments import SqlCommitments
from tests.support.committing_pacs import SR
from tests.support.dimse_peers import make_object
from tests.support.listeners import free_port, until
from tests.support.node import Node
from tests.support.rows import ONE_JOB, READ, arrival, claimed, column

CONFIGURATION = """\
[node]
host = "127.0.0.1"
port = {node_port}
data_dir = "var"
[database]
url = "sqlite:///node.db"
[receive]
min_free_gb = 0
[[peers]]
name = "pacs"
ae_title = "{ae_title}"
host = "127.0.0.1"
port = {port}
storage_commitment = true
commit_timeout_s = {timeout_s}
[[peers]]
name = "xray"
ae_title = "XRAY1"
host = "127.0.0.1"
"""


@dataclass
class CommittingNode(Node):
    """A node turned by hand, and what it has on its way."""

    made: list[str] = field(default_factory=list)

    @property
    def peer(self) -> Peer:
        return self.parts.settings.peers[0]

    @property
    def port(self) -> int:
        return self.parts.settings.node.port

    def make(self) -> str:
        """Have one result on its way; gives its UID."""
        number = len(self.made) + 1
        uid = f"1.2.826.{number}"
        content = make_object(self.config.parent / "made.dcm", SR, uid).path.read_bytes()
        ledger = self.parts.ledger
        ledger.record(arrival(number), ONE_JOB)
        made = ReportObject("sr", SR, uid, "1.2.826.0", content)
        stored = self.parts.archive.put([content], "results", ".dcm")
        sent = NewDelivery(uid, "pacs", "dicom", "routine")
        ledger.finish_jobs(claimed(ledger), Outcome((READ,), ((made, stored),), (sent,)), 2000.0)
        self.made.append(uid)
        return uid

    def deliver_now(self) -> int:
        """Send what is due, retries at once."""
        with transaction(self.parts.engine) as conn:
            conn.execute(update(deliveries).values(due_at=0.0))
        return self.deliver("pacs")

    def ask(self, linger_s: float = 0.0, later_s: float = 0.0) -> int:
        """Ask the PACS about what is due, as if it were so much later."""

        def clock() -> float:
            return time.time() + later_s

        hear = commitment.reports(replace(self.parts, clock=clock), self.caller)
        assert hear is not None
        target = destinations.target(self.parts.settings, "pacs")
        asking = partial(ask, target=target, record_report=hear, linger_s=linger_s)
        book = SqlCommitments(self.parts.engine)
        return request_commitments(book, asking, "pacs", self.peer.commit_timeout_s, clock)

    @property
    def caller(self) -> Caller:
        return Caller(self.peer.ae_title, "CXRAI", "127.0.0.1")

    def states(self) -> list[object]:
        return column(self.parts.engine, commitments, "state")

    def values(self, name: str) -> list[object]:
        return column(self.parts.engine, commitments, name)


@contextmanager
def committing_node(
    folder: Path, port: int, *, ae_title: str = "PACS", timeout_s: float = 3600, node_port: int = 0
) -> Iterator[CommittingNode]:
    """Make a node whose PACS listens on `port`."""
    config = folder / "node.toml"
    known = {"port": port, "ae_title": ae_title, "timeout_s": timeout_s}
    config.write_text(CONFIGURATION.format(node_port=node_port or free_port(), **known))
    parts = node.open_parts(load_settings(config), migrate=True)
    try:
        yield CommittingNode(config, parts)
    finally:
        parts.close()


@contextmanager
def receiving(one: CommittingNode) -> Iterator[None]:
    """Run the role that hears reports on associations of the PACS's own."""
    stop = threading.Event()
    role = threading.Thread(target=run_receive, args=(one.parts.settings, stop))
    role.start()
    try:
        until(partial(_listens, one.port), "the receiver")
        yield
    finally:
        stop.set()
        role.join(30)
    assert not role.is_alive()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
