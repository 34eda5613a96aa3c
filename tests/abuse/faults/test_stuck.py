"""Work that never ends: a deadline, and a queue that goes on."""

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydicom.uid import generate_uid
from structlog.testing import capture_logs

from dicom_node.assembly import loop
from dicom_node.assembly.loop import MOST_CRASHES, take_turns
from dicom_node.assembly.parts import opened_engine
from dicom_node.domain.errors import GiveUp
from dicom_node.domain.operations.status import StatusSnapshot
from dicom_node.domain.operations.tls import TlsFiles
from dicom_node.network.dimse.options import Timeouts
from dicom_node.process import supervisor
from dicom_node.roles import deliver
from dicom_node.settings.settings import load_settings
from dicom_node.storage.database import engine as database
from dicom_node.storage.database.clock import DatabaseClock
from dicom_node.storage.database.engine import open_database
from dicom_node.storage.queue.ledger import SqlLedger
from dicom_node.storage.status.status import take_snapshot
from tests.support.encoded import chest
from tests.support.listeners import until
from tests.support.node import MakeNode
from tests.support.processes import RoleProcesses, role_processes
from tests.support.raw_scu import CR, EXPLICIT, RawSCU
from tests.support.receiver import Setup, receiver
from tests.support.tls_files import entry


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RoleProcesses]:
    with role_processes(tmp_path_factory.mktemp("ward"), ("receive", "work", "deliver")) as running:
        yield running


def snapshot(node: RoleProcesses) -> StatusSnapshot:
    with opened_engine(load_settings(node.config)) as engine:
        return take_snapshot(engine, 0.0)


@pytest.mark.peers
def test_a_worker_that_does_not_finish_in_time_ends_and_its_image_is_read(
    node: RoleProcesses,
) -> None:
    node.restart("work", {"READER_TAKES_S": "300", "ROLE_DRAIN_S": "2"})
    study = node.send()
    until(lambda: snapshot(node).jobs.executing == 1, "the image under way")
    process = node.role("work").process
    assert process is not None
    node.role("work").environment = {}
    process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    assert process.wait(25) == supervisor.OVERDUE
    assert 1.5 < time.monotonic() - began < 20
    node.wait_for(study)


@pytest.mark.peers
def test_an_image_that_hangs_the_worker_is_set_aside_and_the_queue_goes_on(
    node: RoleProcesses,
) -> None:
    poison = generate_uid()
    node.restart("work", {"READER_HANGS_ON": poison, "HUNG_S": "2", "BEAT_S": "0.3"})
    node.send(uid=poison)
    node.wait_for(node.send(), 90)
    until(lambda: snapshot(node).jobs.discarded == 1, "the poison to be set aside", 60)
    (letter,) = snapshot(node).dead_letters
    assert (letter.subject, "3 times" in letter.words) == (poison, True)


def test_the_supervisor_ends_what_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True); "
    command = (sys.executable, "-c", deaf + "time.sleep(60)")
    child = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert child.stdout is not None and child.stdout.readline() == b"\n"
    child.stdout.close()
    monkeypatch.setattr(supervisor, "DRAIN_S", 0.5)
    with capture_logs() as logs:
        supervisor._stop([supervisor.Role("work", command, child)])
    assert child.returncode == -signal.SIGKILL
    assert [one["event"] for one in logs] == ["role_killed"]


@pytest.mark.parametrize("steady_s", [60.0, 0.0])
def test_settings_that_are_wrong_end_the_node_only_at_its_beginning(
    steady_s: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    role, starts = tmp_path / "role", tmp_path / "starts"
    role.write_text(f"#!/bin/sh\necho >> {starts}\nexit {supervisor.BAD_SETTINGS}\n")
    role.chmod(0o700)
    monkeypatch.setattr(supervisor, "PROGRAM", (str(role),))
    monkeypatch.setattr(supervisor, "STEADY_S", steady_s)
    stop, codes = threading.Event(), []
    run = threading.Thread(target=lambda: codes.append(supervisor.supervise({"work": ()}, stop)))
    run.start()
    if steady_s:  # no `stop` is needed
        run.join(60)
        assert (codes, starts.read_text()) == ([supervisor.BAD_SETTINGS], "\n")
        return
    until(lambda: starts.exists() and starts.read_text().count("\n") > 1, "another start")
    stop.set()
    run.join(60)
    assert codes == [0]


def test_an_error_that_nobody_foresaw_ends_no_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "LONGEST_PAUSE_S", 0.05)
    stop, turns = threading.Event(), iter((MemoryError(), ValueError("MARKEDNAME"), None))

    def turn() -> bool:
        error = next(turns)
        if error is not None:
            raise error
        stop.set()
        return True

    with capture_logs() as logs:
        take_turns(turn, stop, lambda: False)
    assert [one["error"] for one in logs] == ["MemoryError", "ValueError"]
    assert "MARKEDNAME" not in str(logs)


def test_an_outbox_that_cannot_go_on_makes_room_for_another(
    make_node: MakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    peers = (f'[[peers]]\nname = "{one}"\nae_title = "P"\nhost = "h"\nport = 9\n' for one in "ab")
    parts = make_node("\n".join(peers)).parts

    def broken(_self: SqlLedger, worker: str, *_: object) -> None:
        if "deliver-a" in worker:
            raise MemoryError

    monkeypatch.setattr(SqlLedger, "claim_deliveries", broken)
    monkeypatch.setattr(loop, "LONGEST_PAUSE_S", 0.01)
    monkeypatch.setattr(threading, "excepthook", lambda _: None)  # as `discreet` does
    with capture_logs() as logs, pytest.raises(GiveUp, match="nobody sends to a any more"):
        deliver.run(parts.settings, threading.Event())
    crashed = [one for one in logs if one["event"] == "turn_crashed"]
    assert len(crashed) == MOST_CRASHES


def test_hanging_handshakes_hold_up_nobody_and_end(
    files: TlsFiles, tmp_path: Path, wrap: Callable[[socket.socket], socket.socket]
) -> None:
    setup = Setup(secure=entry(files), timeouts=Timeouts(acse_s=6))
    with receiver(tmp_path, setup) as node:
        silent = [socket.create_connection(("127.0.0.1", node.port), 10) for _ in range(20)]
        silent[0].sendall(b"\x16\x03\x01\x02\x00\x01")  # a ClientHello that never ends
        started = time.monotonic()
        with RawSCU(node.port, ((CR, (EXPLICIT,)),), wrap=wrap) as scu:
            assert scu.store(chest()).status == 0
        assert time.monotonic() - started < 5
        for one in silent:
            assert one.recv(1) == b""
            one.close()


def test_a_server_that_hangs_does_not_hold_up_who_asks_for_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(database, "CONNECT_S", 6)
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        port = hanging.getsockname()[1]
        clock = DatabaseClock(open_database(f"postgresql+psycopg://nobody@127.0.0.1:{port}/none"))
        began = time.monotonic()
        times = [clock() for _ in range(5)]
        assert time.monotonic() - began < 5
    assert times == sorted(times)
