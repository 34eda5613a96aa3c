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

from dicom_node.assembly import parts as node
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
from dicom_node.settings.settings import load_settings
from dicom_node.storage.database.schema import deliveries, jobs, objects
from tests.support.listeners import free_port
from tests.support.order_messages import adt, message, msh, orm
from tests.support.site import CONFIGURATION, Site

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
def site(tmp_path: Path) -> Iterator[Site]:
    config = tmp_path / "node.toml"
    config.write_text(CONFIGURATION + ORDERS.format(port=free_port()))
    settings = load_settings(config)
    parts = node.open_parts(settings, migrate=True)
    yield Site(config, settings, parts)
    parts.close()


@contextmanager
def hearing(site: Site) -> Iterator[None]:
    """Run the role as `dicom-node orders` does, in a thread."""
    stop = threading.Event()
    role = threading.Thread(target=orders.run, args=(site.settings, stop))
    role.start()
    try:
        yield
    finally:
        stop.set()
        role.join(15)


def tell(site: Site, content: bytes) -> str:
    until = time.monotonic() + 10
    while True:
        try:
            return deliver(content, "127.0.0.1", site.settings.orders.port, TIMEOUTS)
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


def store(site: Site, path: Path) -> Recorded:
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
    return receive(request, reception_of(site.parts), time.time())


def messages(site: Site) -> list[list[str]]:
    made = [row for row in site.rows(objects) if row.kind == "oru"]
    return [site.parts.archive.read(row.file_key).decode().split("\r") for row in made]


def test_an_order_its_image_and_a_merge_meet_in_the_oru(site: Site, tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as logs, hearing(site):
        assert store(site, film(tmp_path, 1, "ACC1")) is Recorded.NEW
        assert store(site, film(tmp_path, 2, "ACC2")) is Recorded.NEW
        assert {row.priority for row in site.rows(jobs)} == {"routine"}
        assert tell(site, orm("S", accession="ACC2")) == "AA for message M1"
        assert [row.priority for row in site.rows(jobs)] == ["routine", "urgent"]
        assert tell(site, orm("A", accession="ACC3", control="NW", study_uid="1.2.3"))
        assert store(site, film(tmp_path, 3, "ACC3")) is Recorded.NEW
        assert [row.priority for row in site.rows(jobs)] == ["routine", "urgent", "high"]
        pid = "PID|1||P7^^^HOSP^MR||Miller^Ann||19800103|F"
        assert tell(site, adt("A40", pid, "MRG|P1^^^HOSP^MR")).startswith("AA")
        with pytest.raises(GiveUp, match="AE"):
            tell(site, message(msh("ADT^A08"), "PID|1||"))
        reader = site.reader()
        assert site.work(reader)
    (lines,) = messages(site)
    assert "PID|1||P7^^^HOSP^MR||Miller^Ann||19800103|F" in lines
    assert any(line.startswith("ORC|RE|PL1^RIS|FI1^LAB|") for line in lines)
    assert any(line.startswith("OBR|1|PL1^RIS|FI1^LAB|") and "|ACC2|" in line for line in lines)
    assert {row.priority for row in site.rows(deliveries)} == {"urgent"}
    for patient in ("Miller", "Wrong", "P7", "P1"):
        assert patient not in str(logs)


def test_without_an_order_the_image_speaks_for_itself(site: Site, tmp_path: Path) -> None:
    store(site, film(tmp_path, 1, "ACC1"))
    assert site.work(site.reader())
    (lines,) = messages(site)
    assert any(line.startswith("PID|1||P1^^^^MR||Wrong^Name|") for line in lines)
    assert any(line.startswith("ORC|RE||ACC1|") for line in lines)


def test_the_order_of_another_patient_is_left_aside_and_told_of(site: Site, tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as logs, hearing(site):
        tell(site, orm("R", accession="ACC1", patient="PID|1||P2||Another^One"))
        store(site, film(tmp_path, 1, "ACC1"))
        assert site.work(site.reader())
    (lines,) = messages(site)
    assert any(line.startswith("PID|1||P1^^^^MR||Wrong^Name|") for line in lines)
    assert any(line.startswith("ORC|RE||ACC1|") for line in lines)
    assert "order_of_another_patient" in [one["event"] for one in logs]
    assert "Another" not in str(logs)


def test_who_may_call_is_named(
    site: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    admits = caller_check(("localhost", "10.1.2.3"))
    with monkeypatch.context() as name_server:
        name_server.setattr(socket, "getaddrinfo", None)  # whoever asks it fails
        assert admits("10.1.2.3")
    assert admits("127.0.0.1")
    assert admits("::ffff:10.1.2.3")
    assert not admits("10.1.2.4")
    assert caller_check(("*",))("10.1.2.4")
    text = site.config.read_text()
    site.config.write_text(text.replace('callers = ["localhost"]', "callers = []"))
    assert cli.main(["orders", "-c", str(site.config)]) == 2
    assert "orders.callers is empty" in capsys.readouterr().err


def test_a_listener_that_is_off_or_cannot_listen_says_so(site: Site) -> None:
    with hearing(site):
        tell(site, orm())
        with pytest.raises(BadSettings, match="cannot listen on 127"):
            orders.run(site.settings, threading.Event())
    off = site.settings.orders.model_copy(update={"port": 0})
    with pytest.raises(BadSettings, match="the listener is off"):
        orders.run(site.settings.model_copy(update={"orders": off}), threading.Event())
