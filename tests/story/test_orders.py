"""From an order on the wire to the ORU: the role, the queue, the message."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import structlog
from pydicom import dcmread

from dicom_node.assembly.reception import reception_of
from dicom_node.commands import cli
from dicom_node.commands.demo.phantom import phantom_dx
from dicom_node.domain.errors import BadSettings, GiveUp, TryAgain
from dicom_node.domain.reception import Caller, StoreRequest
from dicom_node.domain.work import Recorded
from dicom_node.flow.receive import receive
from dicom_node.network.hl7.mllp import Timeouts, deliver
from dicom_node.roles import orders
from dicom_node.roles.orders import caller_check
from dicom_node.storage.database.schema import deliveries, jobs, objects
from tests.support.listeners import free_port
from tests.support.node import CONFIGURATION, MakeNode, Node
from tests.support.order_messages import adt, message, msh, orm

ORDERS = """
notify = ["ris"]
[orders]
port = {port}
callers = ["localhost"]
[[hl7]]
name = "ris"
host = "127.0.0.1"
port = 2575
allow_empty_patient_id = true
"""
TIMEOUTS = Timeouts(connect_s=5, answer_s=10)


@pytest.fixture
def node(make_node: MakeNode) -> Node:
    return make_node(CONFIGURATION + ORDERS.format(port=free_port()))


@contextmanager
def hearing(node: Node) -> Iterator[None]:
    """Run the role as `dicom-node orders` does, in a thread."""
    stop = threading.Event()
    role = threading.Thread(target=orders.run, args=(node.settings, stop))
    role.start()
    try:
        yield
    finally:
        stop.set()
        role.join(15)


def tell(node: Node, content: bytes) -> str:
    until = time.monotonic() + 10
    while True:
        try:
            return deliver(content, "127.0.0.1", node.settings.orders.port, TIMEOUTS)
        except TryAgain:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)  # the role is starting


def film(folder: Path, number: int, accession: str) -> Path:
    ds = phantom_dx(number, "right", made_at=1.7e9, rows=512, columns=512)
    ds.AccessionNumber, ds.PatientID, ds.PatientName = accession, "P1", "Wrong^Name"
    path = folder / f"{number}.dcm"
    ds.save_as(path, enforce_file_format=True)
    return path


def store(node: Node, path: Path) -> Recorded:
    ds = dcmread(path, stop_before_pixels=True)
    content = path.read_bytes()
    start = 144 + int.from_bytes(content[140:144], "little")  # behind the File Meta (PS3.10 7.1)
    request = StoreRequest(
        caller=Caller("CR1", "CXRAI", "127.0.0.1"),
        sop_class_uid=ds.SOPClassUID,
        sop_instance_uid=ds.SOPInstanceUID,
        context_class_uid=ds.SOPClassUID,
        transfer_syntax_uid=ds.file_meta.TransferSyntaxUID,
        file_head=content[:start],
        content=content[start:],
    )
    return receive(request, reception_of(node.parts), time.time())


def messages(node: Node) -> list[list[str]]:
    made = [row for row in node.rows(objects) if row.kind == "oru"]
    return [node.parts.archive.read(row.file_key).decode().split("\r") for row in made]


def test_an_order_its_image_and_a_merge_meet_in_the_oru(node: Node, tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as logs, hearing(node):
        assert store(node, film(tmp_path, 1, "ACC1")) is Recorded.NEW
        assert store(node, film(tmp_path, 2, "ACC2")) is Recorded.NEW
        assert {row.priority for row in node.rows(jobs)} == {"routine"}
        assert tell(node, orm("S", accession="ACC2")) == "AA for message M1"
        assert [row.priority for row in node.rows(jobs)] == ["routine", "urgent"]
        assert tell(node, orm("A", accession="ACC3", control="NW", study_uid="1.2.3"))
        assert store(node, film(tmp_path, 3, "ACC3")) is Recorded.NEW
        assert [row.priority for row in node.rows(jobs)] == ["routine", "urgent", "high"]
        pid = "PID|1||P7^^^HOSP^MR||Miller^Ann||19800103|F"
        assert tell(node, adt("A40", pid, "MRG|P1^^^HOSP^MR")).startswith("AA")
        with pytest.raises(GiveUp, match="AE"):
            tell(node, message(msh("ADT^A08"), "PID|1||"))
        reader = node.configured()
        assert node.work(reader)
    (lines,) = messages(node)
    assert "PID|1||P7^^^HOSP^MR||Miller^Ann||19800103|F" in lines
    assert any(line.startswith("ORC|RE|PL1^RIS|FI1^LAB|") for line in lines)
    assert any(line.startswith("OBR|1|PL1^RIS|FI1^LAB|") and "|ACC2|" in line for line in lines)
    assert {row.priority for row in node.rows(deliveries)} == {"urgent"}
    for patient in ("Miller", "Wrong", "P7", "P1"):
        assert patient not in str(logs)


def test_without_an_order_the_image_speaks_for_itself(node: Node, tmp_path: Path) -> None:
    store(node, film(tmp_path, 1, "ACC1"))
    assert node.work(node.configured())
    (lines,) = messages(node)
    assert any(line.startswith("PID|1||P1^^^^MR||Wrong^Name|") for line in lines)
    assert any(line.startswith("ORC|RE||ACC1|") for line in lines)


def test_the_order_of_another_patient_is_left_aside_and_told_of(node: Node, tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as logs, hearing(node):
        tell(node, orm("R", accession="ACC1", patient="PID|1||P2||Another^One"))
        store(node, film(tmp_path, 1, "ACC1"))
        assert node.work(node.configured())
    (lines,) = messages(node)
    assert any(line.startswith("PID|1||P1^^^^MR||Wrong^Name|") for line in lines)
    assert any(line.startswith("ORC|RE||ACC1|") for line in lines)
    assert "order_of_another_patient" in [one["event"] for one in logs]
    assert "Another" not in str(logs)


def test_who_may_call_is_named(
    node: Node, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    admits = caller_check(("localhost", "10.1.2.3"))
    with monkeypatch.context() as name_server:
        name_server.setattr(socket, "getaddrinfo", None)  # whoever asks it fails
        assert admits("10.1.2.3")
    assert admits("127.0.0.1")
    assert admits("::ffff:10.1.2.3")
    assert not admits("10.1.2.4")
    assert caller_check(("*",))("10.1.2.4")
    text = node.config.read_text()
    node.config.write_text(text.replace('callers = ["localhost"]', "callers = []"))
    assert cli.main(["orders", "-c", str(node.config)]) == 2
    assert "orders.callers is empty" in capsys.readouterr().err


def test_a_listener_that_is_off_or_cannot_listen_says_so(node: Node) -> None:
    with hearing(node):
        tell(node, orm())
        with pytest.raises(BadSettings, match="cannot listen on 127"):
            orders.run(node.settings, threading.Event())
    off = node.settings.orders.model_copy(update={"port": 0})
    with pytest.raises(BadSettings, match="the listener is off"):
        orders.run(node.settings.model_copy(update={"orders": off}), threading.Event())
