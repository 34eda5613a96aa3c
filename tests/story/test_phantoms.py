"""Phantoms through a running node to Orthanc and an HL7 listener."""

import os
import signal
import time
from pathlib import Path

import hl7apy.parser
import pytest
from hl7apy.consts import VALIDATION_LEVEL
from pydicom import dcmread

from tests.support.hospital import configure, dcmsend, running_node
from tests.support.listeners import HL7Listener, Orthanc, until
from tests.support.validators import entity_errors, errors_of, structured_report

pytestmark = pytest.mark.peers

SEG = "1.2.840.10008.5.1.4.1.1.66.4"
SR = "1.2.840.10008.5.1.4.1.1.88.33"
TEXT_SR = "1.2.840.10008.5.1.4.1.1.88.11"
SC = "1.2.840.10008.5.1.4.1.1.7"


def test_results_arrive_once_and_are_valid(
    tmp_path: Path, url: str, orthanc: Orthanc, ris: HL7Listener, phantoms: dict[str, Path]
) -> None:
    config = configure(
        tmp_path, url=url, workers=2, pacs_port=orthanc.dicom_port, hl7_port=ris.port
    )
    with running_node(config) as node:
        dcmsend(node, list(phantoms.values()))
        census = node.settle(3)
        assert (census.analysed, census.dead_letters, census.alarms) == (3, (), ())
        for condition, path in phantoms.items():
            _check_study(orthanc, condition, path, tmp_path)
        _check_messages(ris, phantoms)

        before = _all_instances(orthanc)
        dcmsend(node, list(phantoms.values()))
        time.sleep(1.0)  # more than a claim, a reading and a delivery take
        assert node.settle(3).analysed == 3
        assert _all_instances(orthanc) == before
        assert len(ris.messages) == 2


def _all_instances(orthanc: Orthanc) -> set[str]:
    return set(orthanc.rest("/instances"))


def _check_study(orthanc: Orthanc, condition: str, source: Path, folder: Path) -> None:
    study_uid = str(dcmread(source, stop_before_pixels=True).StudyInstanceUID)
    found = orthanc.study(study_uid)
    classes = sorted(one["SOPClassUID"] for one in found)
    positive = [SC, SEG, SR, TEXT_SR]
    assert classes == sorted(positive if condition != "none" else [SC, SR, TEXT_SR])
    results = []
    for one in orthanc.rest(
        "/tools/find", {"Level": "Instance", "Query": {"StudyInstanceUID": study_uid}}
    ):
        path = folder / f"{one}.dcm"
        path.write_bytes(orthanc.content(f"/instances/{one}/file"))
        results.append(path)
        assert errors_of(path) <= errors_of(source), path
        if dcmread(path, stop_before_pixels=True).Modality == "SR":
            words = structured_report(path).lower()
            negative = "absent" in words or "not detected" in words
            assert negative if condition == "none" else "present" in words and condition in words
    assert entity_errors([source, *results]) == set()


def _check_messages(ris: HL7Listener, phantoms: dict[str, Path]) -> None:
    messages = [message.decode() for message in ris.wait(2)]
    assert len(messages) == 2
    for condition in ("right", "left"):
        ds = dcmread(phantoms[condition], stop_before_pixels=True)
        (message,) = [one for one in messages if ds.StudyInstanceUID in one]
        hl7apy.parser.parse_message(message, validation_level=VALIDATION_LEVEL.STRICT)
        assert "|36118008^Pneumothorax^SCT|1|52101004^Present^SCT|" in message
        side = {"right": "24028007^Right^SCT", "left": "7771000^Left^SCT"}[condition]
        assert f"|272741003^Laterality^SCT|1|{side}|" in message
        assert f"|{ds.PatientID}^" in message


def test_own_results_are_stored_and_never_analysed(
    tmp_path: Path, orthanc: Orthanc, ris: HL7Listener, phantoms: dict[str, Path]
) -> None:
    config = configure(tmp_path, pacs_port=orthanc.dicom_port, hl7_port=ris.port)
    with running_node(config) as node:
        dcmsend(node, [phantoms["right"]])
        node.settle(1)
        captures = []
        for one in orthanc.rest("/instances"):
            if orthanc.rest(f"/instances/{one}/simplified-tags")["SOPClassUID"] == SC:
                captures.append(tmp_path / f"{one}.dcm")
                captures[-1].write_bytes(orthanc.content(f"/instances/{one}/file"))
        assert len(captures) == 1
        dcmsend(node, captures)
        census = node.settle(2)
        assert census.not_analysed == (("own result", 1),)
        assert len(orthanc.rest("/instances")) == 4
        assert len(ris.messages) == 1


def test_results_wait_for_a_pacs_that_is_down(
    tmp_path: Path, ris: HL7Listener, phantoms: dict[str, Path]
) -> None:
    with Orthanc() as orthanc:
        port = orthanc.dicom_port
    config = configure(tmp_path, pacs_port=port, hl7_port=ris.port)
    with running_node(config) as node:
        dcmsend(node, [phantoms["left"]])
        ris.wait(1, 120)  # the alert does not wait for the PACS
        until(lambda: "delivery_postponed" in node.log, "a postponed delivery", 120)
        (pacs,) = [one for one in node.snapshot().deliveries if one.queue == "pacs"]
        assert (pacs.available + pacs.executing, pacs.discarded) == (4, 0)


def test_a_killed_worker_leaves_one_set_of_results(
    tmp_path: Path, orthanc: Orthanc, ris: HL7Listener, phantoms: dict[str, Path]
) -> None:
    config = configure(tmp_path, pacs_port=orthanc.dicom_port, hl7_port=ris.port)
    with running_node(config) as node:
        until(lambda: "worker_ready" in node.log, "the worker", 120)
        os.kill(node.children()["work"], signal.SIGSTOP)
        dcmsend(node, [phantoms["right"], phantoms["left"]])
        stopped = node.children()["work"]
        os.kill(stopped, signal.SIGCONT)
        until(lambda: "jobs_claimed" in node.log, "a claimed job", 120)
        os.kill(stopped, signal.SIGKILL)
        census = node.settle(2)
        assert census.analysed == 2
        assert len(orthanc.rest("/instances")) == 8
        assert len(ris.messages) == 2


def test_sigterm_ends_every_process_in_time(tmp_path: Path) -> None:
    with running_node(configure(tmp_path)) as node:
        children = node.children()
        assert set(children) == {"receive", "work", "deliver", "console"}
        started = time.monotonic()
    assert time.monotonic() - started < 60
    assert node.process.returncode == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in children.values())
