"""Stopping: no new associations, running ones finish, the rest is aborted."""

import socket
import threading
import time
from pathlib import Path

import pytest

from dicom_node.domain.reception import StoreRequest
from dicom_node.domain.work import Recorded
from dicom_node.network.dimse.scp import Service, StorageSCP
from dicom_node.storage.archive.files import FileArchive
from tests.support.encoded import chest
from tests.support.raw_scu import ABORT, CR, Closed, RawSCU, message_pdus, uid, us
from tests.support.receiver import receiver

STORE = {0x0002: uid(CR), 0x0100: us(1), 0x0110: us(7), 0x0800: us(0), 0x1000: uid("1.2.3")}


def test_quiet_associations_do_not_delay_a_stop(tmp_path: Path) -> None:
    with receiver(tmp_path) as node, RawSCU(node.port) as quiet:
        assert quiet.echo() == 0x0000
        started = time.monotonic()
        node.scp.stop(drain_s=30)
        assert time.monotonic() - started < 25
        assert quiet.read_pdu()[0] == ABORT
        with pytest.raises(OSError):
            RawSCU(node.port).__enter__()


def test_half_open_connections_do_not_delay_a_stop(tmp_path: Path) -> None:
    with receiver(tmp_path) as node:
        half_open = socket.create_connection(("127.0.0.1", node.port), timeout=10)
        time.sleep(0.2)
        started = time.monotonic()
        node.scp.stop(drain_s=30)
        assert time.monotonic() - started < 25
        assert b"" in (half_open.recv(10), half_open.recv(10))  # an A-ABORT may come first
        half_open.close()


def test_a_transfer_under_way_is_finished_and_answered(tmp_path: Path) -> None:
    with receiver(tmp_path) as node, RawSCU(node.port) as scu:
        pdus = message_pdus(STORE, chest(), 1, 8192)
        scu.send(pdus[:3])
        stopping = threading.Thread(target=node.scp.stop, args=(30,))
        stopping.start()
        for one in pdus[3:]:
            time.sleep(0.2)
            scu.send([one])
        assert scu.read_response().status == 0x0000
        assert scu.release()
        stopping.join(10)
        assert not stopping.is_alive()
        assert len(node.rows()) == 1


def test_a_transfer_that_stalls_is_aborted_at_the_deadline(tmp_path: Path) -> None:
    with receiver(tmp_path) as node, RawSCU(node.port) as scu:
        scu.send(message_pdus(STORE, chest(), 1, 8192)[:3])
        time.sleep(0.2)
        started = time.monotonic()
        node.scp.stop(drain_s=1.5)
        assert 1.4 < time.monotonic() - started < 20
        assert scu.read_pdu()[0] == ABORT
        with pytest.raises(Closed):
            scu.read_pdu()
        assert node.rows() == [] and node.files() == [] and node.leftovers() == []


def test_a_store_under_way_is_waited_for(tmp_path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(request: StoreRequest) -> Recorded:
        begun.set()
        assert go_on.wait(20)
        return Recorded.NEW

    scp = StorageSCP(
        "127.0.0.1", 0, Service("CXRAI", lambda _: True, slow, FileArchive(tmp_path).spool)
    )
    scp.start()
    with RawSCU(scp.port) as scu:
        scu.send(message_pdus(STORE, chest(), 1, 8192))
        assert begun.wait(20)
        stopping = threading.Thread(target=scp.stop, args=(30,))
        stopping.start()
        time.sleep(1.5)
        assert stopping.is_alive()
        go_on.set()
        assert scu.read_response().status == 0x0000
        stopping.join(10)
        assert not stopping.is_alive()


def test_stopping_twice_or_unstarted_is_nothing(tmp_path: Path) -> None:
    service = Service("CXRAI", lambda _: True, lambda _: Recorded.NEW, FileArchive(tmp_path).spool)
    scp = StorageSCP("127.0.0.1", 0, service)
    scp.stop(1)
    scp.start()
    scp.stop(1)
    scp.stop(1)
    scp.start()
    with RawSCU(scp.port) as scu:
        assert scu.echo() == 0x0000
    scp.stop(1)
