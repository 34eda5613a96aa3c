"""What a worker makes of odd pixels: outcome, worker alive, next image read."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit
from sqlalchemy import select

from dicom_node.assembly.builders import writer
from dicom_node.assembly.pipelines import read_header
from dicom_node.domain.admission import Route
from dicom_node.domain.findings import Algorithm, Findings
from dicom_node.domain.pipeline import Check
from dicom_node.domain.study import Peer, Radiograph
from dicom_node.flow import infer
from dicom_node.flow.infer import InferenceContext, work_once
from dicom_node.formats.dicom.pixels.radiograph import read_film
from dicom_node.settings.settings import Settings
from dicom_node.storage.archive.files import FileArchive
from dicom_node.storage.database.schema import deliveries, objects
from dicom_node.storage.queue.ledger import SqlLedger
from tests.support import pixel_files as pixels
from tests.support.raw_scu import RawSCU
from tests.support.receiver import Receiver, Setup, receiver

CR = "1.2.840.10008.5.1.4.1.1.1"
"""SOP class of the fixtures."""


@dataclass(frozen=True)
class Looking:
    """A pipeline that only notes the brightness of the middle against the edge."""

    seen: list[Radiograph]
    name: str = "pneumothorax"
    version: str = "0"
    device: str = "none"

    def read(self, radiograph: Radiograph) -> Findings:
        self.seen.append(radiograph)
        return Findings(Algorithm(self.name, self.version, "0" * 64))

    def verify(self) -> tuple[Check, ...]:
        return ()


@dataclass(frozen=True)
class Worker:
    node: Receiver
    looking: Looking
    settings: Settings

    def outcome_of(self, ds: Dataset, folder: Path) -> str:
        """Send, work, and give the instance's outcome."""
        path = pixels.save(ds, folder / "sent.dcm")
        syntax = str(dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID)
        content = _data_set(path)
        with RawSCU(self.node.port, ((CR, (syntax,)),)) as scu:
            assert scu.store(content, sop_instance=str(ds.SOPInstanceUID)).status == 0x0000
            assert scu.release()
        assert self.work()
        return str(self.node.rows()[-1].outcome)

    def work(self) -> bool:
        archive = FileArchive(self.node.root / "archive")
        ledger, write = (
            SqlLedger(self.node.engine),
            writer(self.settings, self.node.engine, archive),
        )
        context = InferenceContext(read_header, read_film, {"pneumothorax": self.looking})
        return work_once(infer.Worker("worker", ledger, archive, context, write, time.time, 30))


def _data_set(path: Path) -> bytes:
    whole = path.read_bytes()
    length = dcmread(path, stop_before_pixels=True).file_meta.FileMetaInformationGroupLength
    return whole[132 + 12 + length :]


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    route = Route("chest", send_to=("pacs",), report_not_analysed=True)
    settings = Settings(peers=(Peer("pacs", "PACS", "127.0.0.1", 104),), routes=(route,))
    with receiver(tmp_path / "node", Setup(routes=(route,))) as node:
        yield Worker(node, Looking([]), settings)


def cut_native(folder: Path) -> Dataset:
    samples = pixels.film()
    ds = pixels.dataset(samples, 12)
    ds.PixelData = ds.PixelData[:1000]
    return ds


def cut_jpeg(folder: Path) -> Dataset:
    stream = pixels.jpeg_bytes(pixels.film(8))
    ds = pixels.dataset(pixels.film(8))
    return pixels.with_codestream(ds, JPEGBaseline8Bit, stream[: len(stream) // 2])


def cut_jpeg2000(folder: Path) -> Dataset:
    ds = pixels.compress(pixels.dataset(pixels.film(), 12), JPEG2000Lossless, folder)
    stream = pixels.codestream(ds)
    return pixels.with_codestream(ds, JPEG2000Lossless, stream[: len(stream) // 2])


def blank(folder: Path) -> Dataset:
    return pixels.dataset(np.full((300, 300), 7, np.uint16), 12)


@pytest.mark.parametrize("make", [cut_native, cut_jpeg, cut_jpeg2000, blank])
def test_damaged_pixels_are_not_analysed_and_the_worker_goes_on(
    worker: Worker, tmp_path: Path, make: Callable[[Path], Dataset]
) -> None:
    assert worker.outcome_of(make(tmp_path), tmp_path).startswith("not analysed: ")
    sound = pixels.dataset(pixels.film(), 12, SOPInstanceUID="1.2.3.5")
    assert worker.outcome_of(sound, tmp_path) == "analysed"
    assert len(worker.looking.seen) == 1
    assert not worker.work()  # nothing is left to do


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"PhotometricInterpretation": "MONOCHROME1"},
        {"RescaleSlope": "2", "RescaleIntercept": "-100"},
        {"WindowCenter": ["2000", "900"], "WindowWidth": ["4000", "200"]},
        {"WindowCenter": "2000", "WindowWidth": "4000", "VOILUTFunction": "SIGMOID"},
        {"PixelPaddingValue": 0},
        {"BurnedInAnnotation": "YES"},
        {"PatientOrientation": ["R", "F"]},
        {"ImageType": ["DERIVED", "SECONDARY"]},
        {"LossyImageCompression": "01"},
    ],
    ids=str,
)
def test_odd_but_sound_pixels_are_read_with_air_dark(
    worker: Worker, tmp_path: Path, attributes: dict[str, pixels.Attribute]
) -> None:
    samples = pixels.film()
    if attributes.get("PhotometricInterpretation") == "MONOCHROME1":
        samples = samples.max() - samples
    ds = pixels.dataset(samples, 12, **attributes)
    assert worker.outcome_of(ds, tmp_path) == "analysed"
    (radiograph,) = worker.looking.seen
    rows, columns = radiograph.pixels.shape
    lung = radiograph.pixels[rows // 2, int(columns * 0.3)]
    spine = radiograph.pixels[rows // 2, columns // 2]
    assert lung < spine


def test_8_bit_signed_and_dirty_high_bits_are_read(worker: Worker, tmp_path: Path) -> None:
    dirty = pixels.film() | np.uint16(0x3000)
    made = (
        pixels.dataset(pixels.film(8)),
        pixels.dataset(pixels.film().astype(np.int16) - 2048, 16, SOPInstanceUID="1.2.3.5"),
        pixels.dataset(dirty, 12, SOPInstanceUID="1.2.3.6"),
    )
    for ds in made:
        assert worker.outcome_of(ds, tmp_path) == "analysed"
    clean, dirtied = worker.looking.seen[0].pixels, worker.looking.seen[2].pixels
    assert np.corrcoef(clean.ravel(), dirtied.ravel())[0, 1] > 0.99


def test_a_refusal_is_reported_where_the_route_asks(worker: Worker, tmp_path: Path) -> None:
    ds = pixels.dataset(pixels.film(), 12, ViewPosition="LL")
    assert worker.outcome_of(ds, tmp_path) == "not analysed: view LL, not frontal"
    assert worker.looking.seen == []
    with worker.node.engine.connect() as conn:
        kinds = [row.kind for row in conn.execute(select(objects))]
        sent = [row.destination for row in conn.execute(select(deliveries))]
    assert (kinds, sent) == (["text_sr"], ["pacs"])
