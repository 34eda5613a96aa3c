"""Processes that are told to stop, or that an image kills."""

import signal
from collections.abc import Iterator

import pytest
from pydicom.uid import generate_uid

from dicom_node.assembly.parts import opened_engine
from dicom_node.domain.operations.status import StatusSnapshot
from dicom_node.settings.settings import load_settings
from dicom_node.storage.status.status import take_snapshot
from tests.support.listeners import until
from tests.support.processes import OBJECTS, RoleProcesses, role_processes

pytestmark = pytest.mark.peers


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RoleProcesses]:
    with role_processes(tmp_path_factory.mktemp("ward"), ("receive", "work", "deliver")) as running:
        yield running


def snapshot(node: RoleProcesses) -> StatusSnapshot:
    with opened_engine(load_settings(node.config)) as engine:
        return take_snapshot(engine, 0.0)


def test_a_worker_told_to_stop_finishes_its_image(node: RoleProcesses) -> None:
    node.restart("work", {"READER_TAKES_S": "3"})
    study = node.send()
    until(lambda: snapshot(node).jobs.executing == 1, "the image under way")
    process = node.role("work").process
    assert process is not None
    node.role("work").environment = {}
    process.send_signal(signal.SIGTERM)
    assert process.wait(25) == 0
    assert snapshot(node).analysed == 1  # by that process: its successor has only just begun
    node.wait_for(study)


def test_an_image_that_kills_the_worker_three_times_is_set_aside(node: RoleProcesses) -> None:
    poison = generate_uid()
    node.restart("work", {"READER_DIES_OF": poison})
    node.send(uid=poison)
    good = node.send()
    node.wait_for(good)
    until(lambda: snapshot(node).jobs.discarded == 1, "the poison to be set aside", 60)
    node.sent.pop(-2)  # acknowledged, and shown as not analysed
    found = snapshot(node)
    assert [alarm.kind for alarm in found.alarms] == ["job_discarded"]
    (letter,) = found.dead_letters
    assert letter.subject == poison
    assert "3 times" in letter.words
    later = node.send()
    node.wait_for(later)
    assert node.arrivals()[good] == OBJECTS
