"""The SCP over real associations: who is served, limits, time-outs, stopping."""

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID
from pynetdicom import AE
from pynetdicom.presentation import build_context

from dicom_node.domain.archive import MemorySpool
from dicom_node.domain.errors import BadSettings, TryAgain
from dicom_node.domain.reception import StoreRequest
from dicom_node.domain.study import IMPLEMENTATION_CLASS_UID, Peer
from dicom_node.domain.work import Recorded
from dicom_node.network.dimse.options import (
    IMAGE_CLASSES,
    IMAGE_SYNTAXES,
    SOCKET_HANDLERS,
    Timeouts,
)
from dicom_node.network.dimse.scp import Service, StorageSCP
from tests.support.encoded import chest
from tests.support.raw_scu import (
    ABORT,
    CR,
    EXPLICIT,
    P_DATA,
    Closed,
    RawSCU,
    message_pdus,
    pdu,
    pdv,
    us,
)
from tests.support.receiver import XRAY, Receiver, Setup, receiver

CALLING_NOT_RECOGNISED = (1, 1, 3)
CALLED_NOT_RECOGNISED = (1, 1, 7)
LIMIT_EXCEEDED = (2, 3, 2)
PATIENCE_S = 60.0


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Receiver]:
    with receiver(tmp_path) as running:
        yield running


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_pynetdicom_stores_and_echoes_on_one_association(node: Receiver) -> None:
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = UID(CR), UID("1.2.3")
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2", "1.2.1"
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = UID(EXPLICIT)
    ae = AE(ae_title="XRAY1")
    contexts = [build_context(CR, EXPLICIT), build_context("1.2.840.10008.1.1")]
    assoc = ae.associate(
        "127.0.0.1", node.port, contexts, ae_title="CXRAI", evt_handlers=SOCKET_HANDLERS
    )
    assert assoc.is_established
    assert assoc.acceptor.implementation_class_uid == IMPLEMENTATION_CLASS_UID
    assert assoc.acceptor.maximum_length == 131072
    assert assoc.send_c_echo().Status == 0x0000
    assert [assoc.send_c_store(ds).Status for _ in range(2)] == [0x0000, 0x0000]
    assoc.release()
    assert assoc.is_released
    assert len(node.rows()) == 1


def test_every_class_and_syntax_is_accepted(node: Receiver) -> None:
    pairs = [(kind, (str(syntax),)) for kind in IMAGE_CLASSES for syntax in IMAGE_SYNTAXES]
    assert len(pairs) == 64
    with RawSCU(node.port, pairs) as scu:
        assert set(scu.accepted.values()) == {0}
        assert len(scu.accepted) == 64


def test_native_is_preferred_where_a_sender_would_convert(node: Receiver) -> None:
    jpeg = "1.2.840.10008.1.2.4.50"
    with RawSCU(node.port, ((CR, (jpeg, "1.2.840.10008.1.2", EXPLICIT)),)) as scu:
        assert scu.accepted == {1: 0}
        assert EXPLICIT.encode() in scu.answer[1] and jpeg.encode() not in scu.answer[1]


@pytest.mark.parametrize(
    ("calling", "called", "rejection"),
    [
        (b"XRAY1", b"CXRAI", None),
        (b" XRAY1", b"CXRAI  ", None),
        (b"xray1", b"CXRAI", CALLING_NOT_RECOGNISED),
        (b"STRANGER", b"CXRAI", CALLING_NOT_RECOGNISED),
        (b"MUTE", b"CXRAI", CALLING_NOT_RECOGNISED),
        (b"ELSEWHERE", b"CXRAI", CALLING_NOT_RECOGNISED),
        (b"ROAMING", b"CXRAI", None),
        (b"NAMED", b"CXRAI", None),
        (b"XRAY1", b"ANY-SCP", CALLED_NOT_RECOGNISED),
        (b"STRANGER", b"cxrai", CALLED_NOT_RECOGNISED),
        (b"A\0B\x1b", b"CXRAI", CALLING_NOT_RECOGNISED),
    ],
)
def test_who_is_served(
    tmp_path: Path, calling: bytes, called: bytes, rejection: tuple[int, int, int] | None
) -> None:
    peers = (
        XRAY,
        Peer("mute", "MUTE", "127.0.0.1", may_send=False),
        Peer("elsewhere", "ELSEWHERE", "10.255.255.1"),
        Peer("roaming", "ROAMING"),
        Peer("named", "NAMED", "localhost"),
    )
    with receiver(tmp_path, Setup(peers=peers)) as node:
        with RawSCU(node.port, calling=calling, called=called) as scu:
            if rejection is None:
                assert scu.store(chest()).status == 0x0000
            else:
                assert scu.rejection == rejection
                with pytest.raises(Closed):  # and the connection ends
                    scu.read_pdu()
        assert len(node.rows()) == (1 if rejection is None else 0)


def test_unknown_callers_are_accepted_or_learned_if_asked_to(tmp_path: Path) -> None:
    for rule, row_count in (("accept", 0), ("learn", 1)):
        root = tmp_path / rule
        root.mkdir()
        with receiver(root, Setup(unknown_callers=rule)) as node:  # type: ignore[arg-type]
            for _ in range(2):
                with RawSCU(node.port, calling=b"STRANGER") as scu:
                    if rule == "accept":
                        assert scu.store(chest()).status == 0x0000
                    else:
                        assert scu.rejection == CALLING_NOT_RECOGNISED
            rows = node.rows("callers")
            assert [(row.ae, row.host, row.times) for row in rows] == [
                ("STRANGER", "127.0.0.1", 2)
            ] * row_count


def test_a_rule_that_fails_lets_nobody_in() -> None:
    def failing(caller: object) -> bool:
        raise TryAgain("database is away")

    scp = StorageSCP("127.0.0.1", 0, Service("CXRAI", failing, _never, _no_spool))
    scp.start()
    with RawSCU(scp.port) as scu:
        assert scu.rejection == CALLING_NOT_RECOGNISED
    scp.stop(1)


def _never(request: StoreRequest) -> Recorded:
    raise AssertionError(request)


def _no_spool() -> MemorySpool:
    raise AssertionError


def test_port_in_use_is_a_setting_to_change(node: Receiver) -> None:
    again = StorageSCP("127.0.0.1", node.port, Service("CXRAI", lambda _: True, _never, _no_spool))
    with pytest.raises(BadSettings, match=f"node.port.*{node.port}"):
        again.start()


def test_association_limit_counts_open_ones_only(tmp_path: Path) -> None:
    with receiver(tmp_path, Setup(max_associations=2)) as node, ExitStack() as stack:
        # connections that never ask for an association take no place
        for _ in range(4):
            stack.enter_context(socket.create_connection(("127.0.0.1", node.port)))
        first = stack.enter_context(RawSCU(node.port))
        stack.enter_context(RawSCU(node.port))
        for _ in range(3):
            with RawSCU(node.port) as refused:
                assert refused.rejection == LIMIT_EXCEEDED
        assert first.release()
        with RawSCU(node.port) as scu:
            assert scu.store(chest()).status == 0x0000


def test_broken_connections_free_their_place(tmp_path: Path) -> None:
    with receiver(tmp_path, Setup(max_associations=1)) as node:
        for number in range(10):
            with RawSCU(node.port) as scu:
                if scu.answer[0] == 3:  # the last one is just being noticed
                    continue
                scu.send(message_pdus({0x0100: us(1)}, chest()[: 500 * number], 1, 1000)[:-1])
        until(lambda: not _rejected(node.port))


def _rejected(port: int) -> bool:
    with RawSCU(port) as scu:
        return scu.answer[0] == 3


def test_half_open_and_idle_associations_are_closed(tmp_path: Path) -> None:
    timeouts = Timeouts(acse_s=0.5, network_s=0.5)
    with receiver(tmp_path, Setup(timeouts=timeouts)) as node:
        half_open = socket.create_connection(("127.0.0.1", node.port), timeout=PATIENCE_S)
        assert half_open.recv(1) == b""
        half_open.close()
        with RawSCU(node.port) as idle:
            assert idle.echo() == 0x0000
            assert idle.read_pdu()[0] == ABORT
        with RawSCU(node.port) as stuck:  # stops in the middle of a PDU
            stuck.send([pdu(P_DATA, pdv(1, 1, bytes(1000)))[:500]])
            assert stuck.read_pdu()[0] == ABORT


@pytest.mark.parametrize(
    "sent",
    [
        struct.pack(">BBL", 0x42, 0, 4) + b"what",
        struct.pack(">BBL", 4, 0, 0xFFFFFFFF),
        pdu(P_DATA, pdv(1, 3, b"not a command set")),
        pdu(P_DATA, pdv(1, 2, b"data without command")),
        pdu(P_DATA, struct.pack(">LB", 1, 1)),
        pdu(P_DATA, struct.pack(">LB", 500, 1) + b"\3"),
        pdu(1, b"again"),
        b"".join(message_pdus({0x0100: us(1), 0x0110: us(1), 0x0800: us(0x101)}, None, 99, 999)),
        b"".join(message_pdus({0x0100: us(1), 0x0800: us(0x101)}, None, 1, 999)),
        b"".join(message_pdus({0x0110: us(1), 0x0800: us(0x101)}, None, 1, 999)),
    ],
    ids=["type", "size", "command", "order", "empty", "length", "rq", "context", "id", "field"],
)
def test_broken_protocol_ends_that_association_only(node: Receiver, sent: bytes) -> None:
    with RawSCU(node.port) as other, RawSCU(node.port) as broken:
        broken.send([sent])
        with pytest.raises(Closed):
            while broken.read_pdu()[0] != ABORT:
                pass
            raise Closed
        assert other.store(chest()).status == 0x0000


def test_other_operations_are_answered_not_fatal(node: Receiver) -> None:
    with RawSCU(node.port) as scu:
        find = {0x0100: us(0x20), 0x0110: us(4), 0x0700: us(0), 0x0800: us(0)}
        assert scu.request(find, b"identifier").status == 0x0211
        scu.send(message_pdus({0x0100: us(0x0FFF), 0x0120: us(4), 0x0800: us(0x101)}, None, 1, 99))
        scu.send(message_pdus({0x0100: us(0x8001), 0x0110: us(4), 0x0800: us(0x101)}, None, 1, 99))
        assert scu.echo() == 0x0000


@pytest.mark.parametrize("pdu_size", [64, 4096, 131072, 400_000])
def test_any_pdu_size_and_two_values_in_one_pdu(node: Receiver, pdu_size: int) -> None:
    with RawSCU(node.port) as scu:
        assert scu.store(chest(), pdu_size=pdu_size).status == 0x0000
        parts = message_pdus(
            {0x0002: CR.encode() + b"\0", 0x0100: us(1), 0x0110: us(2), 0x0800: us(0)}
            | {0x1000: b"1.2.3\0"},
            chest(),
            1,
            100_000,
        )
        scu.send([pdu(P_DATA, b"".join(part[6:] for part in parts))])
        assert scu.read_response().status == 0x0000
    assert len(node.rows()) == 1


def test_many_associations_at_once(node: Receiver) -> None:
    statuses: list[int] = []

    def send(number: int) -> None:
        with RawSCU(node.port) as scu:
            for part in range(3):
                uid = f"1.7.{number}.{part}"
                content = chest({0x00080018: (b"UI", uid.encode())})
                statuses.append(scu.store(content, sop_instance=uid).status)
            assert scu.release()

    threads = [threading.Thread(target=send, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert statuses == [0x0000] * 36
    assert len(node.rows()) == len(node.files()) == 36


def test_threads_and_sockets_do_not_pile_up(node: Receiver) -> None:
    descriptors = Path("/proc/self/fd")
    for number in range(30):
        with RawSCU(node.port) as scu:
            assert scu.echo() == 0x0000
            if number % 3:
                assert scu.release()
    until(lambda: not [t for t in threading.enumerate() if t.name.startswith("association")])
    first = len(list(descriptors.iterdir()))
    for _ in range(30):
        with RawSCU(node.port) as scu:
            assert scu.echo() == 0x0000
    until(lambda: not [t for t in threading.enumerate() if t.name.startswith("association")])
    assert len(list(descriptors.iterdir())) <= first + 2
