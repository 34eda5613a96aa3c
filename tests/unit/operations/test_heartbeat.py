"""A process's signs of life, with its thread and database."""

import os
import time
from pathlib import Path

import pytest

from dicom_node.assembly import parts as node
from dicom_node.domain.operations.monitoring import Gpu, ServingModel
from dicom_node.operations.heartbeat import STUCK_S, HeartbeatWriter, heartbeat, read_gpus
from dicom_node.roles.console.views import needed_roles, views
from dicom_node.settings.settings import DatabaseSection, NodeSection, Settings
from dicom_node.storage.status.heartbeats import take_heartbeats
from tests.support.listeners import until
from tests.support.postgres_server import PostgresServer


def site(folder: Path) -> Settings:
    return Settings(
        node=NodeSection(data_dir=folder),
        database=DatabaseSection(url=f"sqlite:///{folder}/node.db"),
    )


def test_a_role_beats_while_it_runs_and_then_no_more(tmp_path: Path) -> None:
    settings = site(tmp_path)
    parts = node.open_parts(settings, migrate=True)
    shown = views(settings)
    assert shown.missing() == needed_roles(settings) == ("receive", "work", "deliver")
    with heartbeat(parts, "receive"):
        until(lambda: shown.missing() == ("work", "deliver"), "the receiver's beat")
        (sign,) = take_heartbeats(parts.engine)
        assert sign.resident_bytes > 1 << 20
        assert sign.open_files > 3
        assert 'dicom_node_role_processes{role="receive"} 1.0' in shown.metrics()
    assert take_heartbeats(parts.engine) == ()
    parts.close()


@pytest.mark.postgres
def test_hosts_whose_clocks_differ_see_each_other_live(
    postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = DatabaseSection(url=postgres.create("apart", template="migrated"))
    settings = site(tmp_path).model_copy(update={"database": database})
    parts, shown, ours = node.open_parts(settings), views(settings), time.time
    with heartbeat(parts, "receive"):
        until(lambda: shown.missing() == ("work", "deliver"), "the receiver's beat")
        monkeypatch.setattr(time, "time", lambda: ours() + 420)  # the console's host
        assert shown.missing() == ("work", "deliver")
        assert 'dicom_node_role_processes{role="receive"} 1.0' in shown.metrics()
        assert shown.snapshot().at < ours() + 60
    parts.close()


def test_a_worker_beats_only_once_its_loop_turns(tmp_path: Path) -> None:
    parts = node.open_parts(site(tmp_path), migrate=True)
    with heartbeat(parts, "work", looping=True) as pulse:
        assert not pulse.alive()
        pulse.models = (ServingModel("pneumothorax", "1.0", "cpu"),)
        assert pulse.watch(lambda: 5)() == 5
        until(lambda: take_heartbeats(parts.engine) != (), "the worker's beat")
        assert take_heartbeats(parts.engine)[0].models == pulse.models
        assert pulse.turned_at is not None
        pulse.turned_at -= STUCK_S + 1
        assert not pulse.alive()  # a stuck loop is no life
    parts.close()


def tool(folder: Path, script: str) -> None:
    """Put a program in the place of NVIDIA's tool."""
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def test_the_gpus_by_the_drivers_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    tool(tmp_path, 'test "$2" = "--format=csv,noheader,nounits" && echo "0, 512, 81559, 37"')
    assert read_gpus() == (Gpu("0", 512 << 20, 81559 << 20, 0.37),)
    for broken in ("exit 9", 'echo "0, [N/A], [N/A], [N/A]"', "true"):
        tool(tmp_path, broken)
        assert read_gpus() == ()


def test_only_workers_on_a_gpu_ask_for_it() -> None:
    pulse = HeartbeatWriter("work", 0.0, models=(ServingModel("pneumothorax", "1.0", "cpu"),))
    assert not pulse.on_gpu
    pulse.models = (ServingModel("pneumothorax", "1.0", "cuda:0"),)
    assert pulse.on_gpu
