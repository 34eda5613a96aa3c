"""Both directions of STOW-RS against Orthanc and dicomweb-client."""

import time
from pathlib import Path

import pytest
from dicomweb_client.web import DICOMwebClient
from pydicom import dcmread
from pydicom.uid import UID
from pynetdicom.sop_class import SecondaryCaptureImageStorage  # type: ignore[attr-defined] # made at run time
from sqlalchemy import select

from dicom_node.commands.demo.phantom import phantom_dx
from dicom_node.domain.exchange.destinations import StowDestination
from dicom_node.domain.work import Acknowledgement, Undelivered
from dicom_node.network.dicomweb.scu import probe, send
from dicom_node.storage.database.schema import deliveries, objects
from tests.support.archives import NamedFiles
from tests.support.dimse_peers import wrap
from tests.support.hospital import configure, running_node
from tests.support.listeners import Orthanc, free_port
from tests.support.stow_node import Start
from tests.support.stow_servers import UIDS, batch

pytestmark = pytest.mark.peers


@pytest.fixture
def phantom(tmp_path: Path) -> Path:
    """A radiograph with a pneumothorax on the right."""
    path = tmp_path / "phantom.dcm"
    phantom_dx(2, "right", made_at=time.time(), rows=512, columns=512).save_as(
        path, enforce_file_format=True
    )
    return path


def cloud(orthanc: Orthanc) -> StowDestination:
    return StowDestination("cloud", f"http://{orthanc.host}:{orthanc.http_port}/dicom-web")


def test_an_image_comes_and_its_results_go_by_stow(tmp_path: Path, phantom: Path) -> None:
    port = free_port()
    with Orthanc(dicom_web=True) as orthanc:
        config = configure(tmp_path, pacs_port=orthanc.dicom_port, outputs=["seg", "sr", "sc"])
        text = config.read_text().replace('send_to = ["pacs"]', 'send_to = ["cloud"]')
        text = text.replace('notify = ["ris"]', "").replace("workers = 1", 'gate = ""')
        text += f'[dicomweb]\nport = {port}\n[[stow]]\nname = "cloud"\nurl = "{cloud(orthanc).url}"'
        config.write_text(text)
        with running_node(config) as node:
            source = dcmread(phantom)
            client = DICOMwebClient(f"http://127.0.0.1:{port}")
            answer = client.store_instances([source], source.StudyInstanceUID)
            assert len(answer.ReferencedSOPSequence) == 1
            snapshot = node.settle(1)
            assert (snapshot.dead_letters, snapshot.alarms) == ((), ())
            with node.engine.connect() as conn:
                rows = conn.execute(select(deliveries.c.protocol, deliveries.c.acknowledged)).all()
                keys = conn.execute(select(objects.c.file_key)).scalars().all()
            assert rows == [("stow", "200 stored")] * 3
            made = {(node.folder / "var" / "archive" / key).read_bytes() for key in keys}
        there = orthanc.rest("/instances")
        assert {orthanc.content(f"/instances/{one}/file") for one in there} == made
        assert "stow_answered" in node.log
        assert str(source.PatientName) not in node.log


def test_orthanc_forwards_to_the_node(start: Start, phantom: Path) -> None:
    node = start()
    servers = {"Servers": {"node": {"Url": f"http://127.0.0.1:{node.scp.port}/"}}}
    reaches = {"node": ("CXRAI", node.scp.port)}
    with Orthanc(dicom_web=True, modalities=reaches, options={"DicomWeb": servers}) as orthanc:
        stored = orthanc.content("/instances", phantom.read_bytes())
        assert b"Success" in stored
        (instance,) = orthanc.rest("/instances")
        job = {"Resources": [instance], "Synchronous": True}
        for _ in range(2):  # the same image again is no error
            said = orthanc.rest("/dicom-web/servers/node/stow", job)
            assert int(said["InstancesCount"]) == 1
    (row,) = node.rows()
    assert row.calling_ae == "XRAY1"
    kept = node.folder / "var" / "archive" / row.file_key
    assert dcmread(kept).PixelData == dcmread(phantom).PixelData


def test_orthanc_refuses_one_object_and_stores_the_others(tmp_path: Path) -> None:
    made = batch(tmp_path)
    path = tmp_path / UIDS[1]
    wrap(path, b"\x08\x00\x18\x00UI\x06\x002.25.1", "1.2.840.10008.1.2.1")
    with Orthanc(dicom_web=True) as orthanc:
        outcomes = send(made, NamedFiles(tmp_path), cloud(orthanc))
        assert [type(one) for one in sorted(outcomes, key=lambda one: one.delivery_id)] == [
            Acknowledgement,
            Undelivered,
            Acknowledgement,
        ]
        assert len(orthanc.rest("/instances")) == 2
        again = send(made, NamedFiles(tmp_path), cloud(orthanc))
        assert sum(isinstance(one, Acknowledgement) for one in again) == 2
        assert len(orthanc.rest("/instances")) == 2
        assert probe(cloud(orthanc)).ok


def test_orthanc_that_wants_a_login_is_tried_again(tmp_path: Path) -> None:
    with Orthanc(dicom_web=True, user=("alice", "secret")) as orthanc:
        (outcome,) = send(batch(tmp_path, UIDS[:1]), NamedFiles(tmp_path), cloud(orthanc))
        assert isinstance(outcome, Undelivered)
        assert str(outcome.error).startswith("HTTP 401: not authenticated")
        assert not probe(cloud(orthanc)).ok


def test_dicomweb_client_reads_our_answers(start: Start, phantom: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("abc")
    node = start('token_file = "token"')
    client = DICOMwebClient(
        f"http://127.0.0.1:{node.scp.port}",
        headers={"Authorization": "Bearer abc"},
        chunk_size=50_000,  # less than the image, so that it comes in chunks
    )
    good, other = dcmread(phantom), dcmread(phantom)
    other.SOPInstanceUID = other.file_meta.MediaStorageSOPInstanceUID = UID("1.2.3.4")
    other.SOPClassUID = other.file_meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.2")
    answer = client.store_instances([good, other])
    assert [one.ReferencedSOPInstanceUID for one in answer.ReferencedSOPSequence] == [
        good.SOPInstanceUID
    ]
    (failed,) = answer.FailedSOPSequence
    assert (failed.ReferencedSOPInstanceUID, failed.FailureReason) == ("1.2.3.4", 0x0122)
    other.SOPClassUID = other.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    assert "FailedSOPSequence" not in client.store_instances([other])
