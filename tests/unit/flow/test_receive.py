"""One C-STORE: what is written, in which order, and what the log says."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from dicom_node.domain.admission import Route
from dicom_node.domain.errors import Refused, TryAgain
from dicom_node.domain.reception import Caller, StoreRequest
from dicom_node.domain.study import Peer
from dicom_node.domain.work import Admission, Arrival, Recorded
from dicom_node.flow.callers import CallerPolicy, admit_caller
from dicom_node.flow.receive import Reception, receive
from dicom_node.formats.dicom.file_meta import file_head
from dicom_node.formats.dicom.header import describe, describe_file, read_header
from dicom_node.storage.archive.files import FileArchive
from dicom_node.storage.database.engine import migrate, open_database
from dicom_node.storage.queue.ledger import SqlLedger
from tests.support.encoded import chest
from tests.support.headers import describe_bytes
from tests.support.raw_scu import CR, EXPLICIT

NOW = 1.7e9
CALLER = Caller("XRAY1", "CXRAI", "10.0.0.1")


def _request(content: bytes, sop_instance: str = "1.2.3") -> StoreRequest:
    head = file_head(CR, sop_instance, EXPLICIT)
    return StoreRequest(CALLER, CR, CR, sop_instance, EXPLICIT, head, content)


@pytest.fixture
def reception(tmp_path: Path) -> Iterator[Reception]:
    engine = open_database(f"sqlite:///{tmp_path}/node.db")
    migrate(engine)
    archive = FileArchive(tmp_path / "archive")
    yield Reception(archive, SqlLedger(engine), describe_file, (Route("chest"),), 0)
    engine.dispose()


class NotingLedger:
    """A ledger that keeps what it is given, and whether the file is there by then."""

    def __init__(self, archive: FileArchive) -> None:
        self.archive = archive
        self.arrivals: list[Arrival] = []
        self.admissions: list[Admission] = []

    def record(self, arrival: Arrival, admission: Admission) -> Recorded:
        assert self.archive.read(arrival.file.key)
        self.arrivals.append(arrival)
        self.admissions.append(admission)
        return Recorded.NEW


def test_the_file_is_there_before_the_row(reception: Reception, tmp_path: Path) -> None:
    archive = FileArchive(tmp_path / "archive")
    ledger = NotingLedger(archive)
    noting = replace(reception, ledger=ledger)  # type: ignore[arg-type]
    content = chest()
    assert receive(_request(content), noting, NOW) is Recorded.NEW
    (arrival,) = ledger.arrivals
    assert arrival.received_at == NOW
    assert (arrival.calling_ae, arrival.called_ae, arrival.host) == ("XRAY1", "CXRAI", "10.0.0.1")
    assert arrival.instance == describe_bytes(content, EXPLICIT)
    assert ledger.admissions[0].jobs[0].routes == ("chest",)
    with archive.opened(arrival.file.key) as path:
        assert path.read_bytes() == _request(content).file_head + content
        assert arrival.file.size == path.stat().st_size
        assert describe(read_header(path)) == arrival.instance


def test_file_meta_never_changes_or_duplicates_would_differ() -> None:
    head = file_head(CR, "1.2.3", EXPLICIT)
    assert head[:132] == bytes(128) + b"DICM"
    assert head[132:144] == b"\x02\0\0\0UL\4\0" + (len(head) - 144).to_bytes(4, "little")
    assert head[144:] == (
        b"\x02\0\x01\0OB\0\0\2\0\0\0\0\1"
        b"\x02\0\x02\0UI\x1a\x001.2.840.10008.5.1.4.1.1.1\0"
        b"\x02\0\x03\0UI\x06\x001.2.3\0"
        b"\x02\0\x10\0UI\x14\x001.2.840.10008.1.2.1\0"
        b"\x02\0\x12\0UI\x2c\x002.25.331851758267164677234959313766442856987"
        b"\x02\0\x13\0SH\x0a\0DICOM-NODE"
    )


def test_each_step_has_its_event_without_patient(reception: Reception) -> None:
    with capture_logs() as events:
        receive(_request(chest()), reception, NOW)
        receive(_request(chest()), reception, NOW)
        receive(_request(chest({0x00100020: (b"LO", b"PAT2")})), reception, NOW)
        with pytest.raises(Refused):
            receive(_request(b"nonsense, nonsense"), reception, NOW)
        other = chest({0x00080018: (b"UI", b"1.9"), 0x00185101: (b"CS", b"LL")})
        receive(_request(other, "1.9"), reception, NOW)
    assert [event["event"] for event in events] == [
        "instance_received",
        "instance_duplicate",
        "instance_conflict",
        "instance_refused",
        "instance_received",
    ]
    assert (events[0]["jobs"], events[0]["not_analysed"]) == (["pneumothorax"], None)
    assert (events[4]["jobs"], events[4]["not_analysed"]) == ([], "view LL, not frontal")
    assert events[3]["status"] == "C000"
    assert all(event["calling_ae"] == "XRAY1" for event in events)
    assert "PAT" not in repr(events)


def test_one_instance_sent_by_many_at_once_is_new_once(reception: Reception) -> None:
    found: list[Recorded] = []
    threads = [
        threading.Thread(
            target=lambda: found.append(receive(_request(chest()), reception, NOW)), daemon=True
        )
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(one.value for one in found) == ["new"] + ["same"] * 7


def test_what_is_refused_writes_no_file(reception: Reception, tmp_path: Path) -> None:
    for content in (b"", b"\0" * 100, chest()[:100], chest({0x0020000D: None})):
        with pytest.raises(Refused):
            receive(_request(content), reception, NOW)
    assert not list(tmp_path.rglob("*.dcm"))


def test_the_reserve_counts_what_arrives(reception: Reception) -> None:
    class Small(FileArchive):
        def free_bytes(self) -> int:
            return 1_000_000

    archive = Small(Path("/nowhere"))
    for reserve in (1_000_001, 1_000_000 - len(chest()) + 1):
        with pytest.raises(Refused) as refused:
            receive(
                _request(chest()), replace(reception, archive=archive, min_free_bytes=reserve), NOW
            )
        assert refused.value.status == 0xA700
        assert "reserve" in refused.value.comment


def test_unknown_caller_is_remembered_if_asked_to() -> None:
    kept: list[tuple[str, str, float]] = []

    def remember(title: str, host: str, now: float) -> None:
        kept.append((title, host, now))

    peers = (Peer("xray", "XRAY1", "10.0.0.1"),)
    learn = CallerPolicy(peers, "learn", lambda host: {host}, remember)
    assert admit_caller(CALLER, learn, NOW)
    assert not admit_caller(replace(CALLER, host="10.0.0.2"), learn, NOW)
    assert kept == []
    assert not admit_caller(replace(CALLER, calling_ae="NEW"), learn, NOW)
    assert not admit_caller(
        replace(CALLER, calling_ae="NEW"), replace(learn, unknown_callers="reject"), 2
    )
    assert kept == [("NEW", "10.0.0.1", NOW)]


def test_refusing_does_not_need_the_database() -> None:
    def remember(title: str, host: str, now: float) -> None:
        raise TryAgain("away")

    with capture_logs() as events:
        assert not admit_caller(CALLER, CallerPolicy((), "learn", lambda host: (), remember), NOW)
    assert [event["event"] for event in events] == ["caller_refused", "caller_not_remembered"]
