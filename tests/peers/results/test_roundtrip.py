"""Every kind of object into Orthanc and back by C-MOVE, byte by byte."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from io import BytesIO

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.filereader import read_preamble

from dicom_node.domain.followup import Sent
from dicom_node.domain.study import InstanceRef, Peer, SRClass
from dicom_node.domain.work import ReportObject
from dicom_node.network.dimse.association import Target
from dicom_node.network.dimse.options import prepare
from dicom_node.network.dimse.scu import outgoing, store
from dicom_node.results.common import ExaminedImage, ReportContext
from dicom_node.results.dicom import rejection
from dicom_node.results.registry import BUILDERS
from tests.support.listeners import Orthanc, Storescp
from tests.support.samples import findings, radiograph, source

pytestmark = pytest.mark.peers
CONTEXT = ReportContext(1_700_000_000.0, "0.1.0", institution="Klinik Süd")
NAMES = {
    "latin": ("ISO_IR 100", "Müller^Zoë"),
    "utf-8": ("ISO_IR 192", "Müller^Анна=王^小东"),
    "japanese": (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎"),
}


@dataclass(frozen=True)
class Trip:
    """What was sent, and what came back from Orthanc, by SOP Instance UID."""

    sent: dict[str, ReportObject]
    returned: dict[str, bytes]
    kept: dict[str, bytes]
    """As Orthanc gives it by REST."""


def built(charset: str) -> Iterator[ReportObject]:
    """Build all kinds, and what follows a second reading."""
    ds = source()
    ds.SpecificCharacterSet, ds.PatientName = NAMES[charset]
    number = list(NAMES).index(charset)
    ds.StudyInstanceUID, ds.SOPInstanceUID = f"2.25.2{number}", f"2.25.1{number}"
    ref = InstanceRef(str(ds.SOPClassUID), str(ds.SOPInstanceUID))
    image = replace(radiograph(), ref=ref)
    known = findings()
    for kind, build in BUILDERS.items():
        yield made(build(ExaminedImage(ds, image, known), CONTEXT))
        if kind == "sr":
            classes: tuple[SRClass, ...] = ("comprehensive3d", "enhanced")
            later = (
                replace(CONTEXT, made_at=1.8e9 + n, sr_class=one) for n, one in enumerate(classes)
            )
            other = tuple(
                replace(one, algorithm=replace(one.algorithm, version="2")) for one in known
            )
            for number, context in enumerate(later):
                wanted = known[number:] if number else other
                yield made(build(ExaminedImage(ds, image, wanted), context))
    old = made(BUILDERS["seg"](ExaminedImage(ds, image, known), CONTEXT))
    ref = InstanceRef(old.sop_class_uid, old.sop_instance_uid)
    before = (Sent("pacs", "seg", "seg", ref, old.series_uid, 1.6e9),)
    yield made(rejection.build(ExaminedImage(ds, image, known), replace(CONTEXT, before=before)))


def made(one: ReportObject | None) -> ReportObject:
    assert one is not None
    return one


@pytest.fixture(scope="module")
def trip(tmp_path_factory: pytest.TempPathFactory) -> Trip:
    """Store with our SCU, ask Orthanc to move each study to DCMTK's storescp."""
    folder = tmp_path_factory.mktemp("trip")
    sent = {one.sop_instance_uid: one for charset in NAMES for one in built(charset)}
    paths = [folder / f"{number}.dcm" for number in range(len(sent))]
    for path, one in zip(paths, sent.values(), strict=True):
        path.write_bytes(one.content)
    prepare()
    with (
        Storescp(folder / "back", "--bit-preserving") as back,
        Orthanc(modalities={"back": (back.ae_title, back.port)}) as orthanc,
    ):
        target = Target(Peer("pacs", "ORTHANC", orthanc.host, orthanc.dicom_port), "CXRAI")
        answers = list(store([outgoing(path) for path in paths], target))
        assert all(isinstance(one, str) for one in answers), answers
        for study_uid in {str(header(one.content).StudyInstanceUID) for one in sent.values()}:
            move(orthanc, back, study_uid)
        files = (orthanc.content(f"/instances/{one}/file") for one in orthanc.rest("/instances"))
        kept = {str(header(content).SOPInstanceUID): content for content in files}
        arrived = [path.read_bytes() for path in back.files]
    returned = {str(header(content).SOPInstanceUID): content for content in arrived}
    assert len(arrived) == len(returned), "something came back twice"
    return Trip(sent, returned, kept)


def move(orthanc: Orthanc, back: Storescp, study_uid: str) -> None:
    options = ["-S", "-aet", back.ae_title, "-aec", "ORTHANC", "-aem", back.ae_title]
    options += ["-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study_uid}"]
    command = ["movescu", *options, orthanc.host, str(orthanc.dicom_port)]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")


def header(content: bytes) -> Dataset:
    return pydicom.dcmread(BytesIO(content), stop_before_pixels=True)


def data_set(content: bytes) -> bytes:
    """Cut preamble and file meta information away: what each writer makes anew."""
    stream = BytesIO(content)
    read_preamble(stream, force=False)
    stream.seek(stream.tell() + 8)  # (0002,0000) UL 4, then its value
    length = int.from_bytes(stream.read(4), "little")
    return content[stream.tell() + length :]


@pytest.mark.parametrize("kind", [*BUILDERS, "rejection"])
def test_an_object_comes_back_as_it_went(kind: str, trip: Trip) -> None:
    sent = {uid: one for uid, one in trip.sent.items() if one.kind == kind}
    assert len(sent) >= len(NAMES)
    for uid, one in sent.items():
        meta = header(trip.returned[uid]).file_meta
        assert meta.TransferSyntaxUID == header(one.content).file_meta.TransferSyntaxUID
        assert meta.MediaStorageSOPClassUID == one.sop_class_uid
        assert data_set(trip.returned[uid]) == data_set(one.content)
        assert data_set(trip.kept[uid]) == data_set(one.content)


def test_nothing_is_lost_and_nothing_is_added(trip: Trip) -> None:
    assert set(trip.sent) == set(trip.returned) == set(trip.kept)
    assert {one.kind for one in trip.sent.values()} == {*BUILDERS, "rejection"}


def test_a_changed_byte_would_be_seen(trip: Trip) -> None:
    uid, one = next(iter(trip.sent.items()))
    changed = one.content[:-1] + bytes([one.content[-1] ^ 1])
    assert data_set(changed) != data_set(trip.returned[uid])
