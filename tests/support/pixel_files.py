"""Synthetic films, written in every transfer syntax that can be encoded here."""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import gdcm
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import (
    JPEG2000,
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from dicom_node.domain.study import Radiograph
from dicom_node.formats.dicom.pixels.radiograph import read_radiograph

Samples = NDArray[np.integer[Any]]
Attribute = str | float | bytes | Sequence[str] | Sequence[float] | Sequence[Dataset]
CR = UID("1.2.840.10008.5.1.4.1.1.1")
BY_PYDICOM = {
    RLELossless: "gdcm",
    JPEGLSLossless: "pyjpegls",
    JPEGLSNearLossless: "pyjpegls",
    JPEG2000Lossless: "pylibjpeg",
    JPEG2000: "pylibjpeg",
}
BY_GDCM = (JPEGLossless, JPEGLosslessSV1)


def film(bits: int = 12, rows: int = 301, columns: int = 288) -> Samples:
    """Bright body, two dark lungs, dark air left and right, a little noise."""
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float64)
    y, x = y / rows, x / columns
    body = 0.85 * (1 - np.exp(-np.minimum(x, 1 - x) * 30))
    for centre in (0.3, 0.7):
        body -= 0.5 * np.exp(-(((x - centre) / 0.12) ** 2) - ((y - 0.5) / 0.3) ** 2)
    body += np.random.default_rng(7).normal(0, 0.01, body.shape)
    gray = np.clip(body, 0, 1) * (2**bits - 1)
    samples: Samples = gray.astype(np.uint8 if bits <= 8 else np.uint16)
    return samples


def dataset(samples: Samples, bits: int | None = None, /, **attributes: Attribute) -> Dataset:
    """Wrap samples as a native CR image; `attributes` are set last."""
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = CR, "1.2.3.4"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.3", "1.2.3.1"
    ds.Modality, ds.PatientID, ds.PatientName = "CR", "", ""
    ds.Rows, ds.Columns = samples.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated = 8 * samples.itemsize
    ds.BitsStored = bits or ds.BitsAllocated
    ds.HighBit = ds.BitsStored - 1
    ds.PixelRepresentation = int(samples.dtype.kind == "i")
    content = samples.tobytes()
    vr = "OB" if samples.itemsize == 1 else "OW"
    ds.add_new("PixelData", vr, content + b"\0" * (len(content) % 2))
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return ds


def lut(entries: list[int], first: int, bits: int, signed: bool = False) -> list[Dataset]:
    """Make a LUT sequence of one item (PS3.3 C.11.1.1)."""
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if signed else "US", [len(entries) % 65536, first, bits])
    item.add_new("LUTData", "OW", np.array(entries, "<u2").tobytes())
    item.ModalityLUTType = "US"
    return [item]


def save(ds: Dataset, path: Path) -> Path:
    """Write Part 10 in the syntax that `file_meta` names."""
    if ds.file_meta.TransferSyntaxUID == ExplicitVRBigEndian and ds.BitsAllocated == 16:
        ds.PixelData = np.frombuffer(ds.PixelData, np.uint16).byteswap().tobytes()
    ds.save_as(path, enforce_file_format=True)
    return path


def compress(ds: Dataset, syntax: UID, folder: Path, **options: int | list[int]) -> Dataset:
    """Encode a native data set; needs a scratch folder for GDCM."""
    if syntax in BY_PYDICOM:
        ds.compress(
            syntax,
            encoding_plugin=BY_PYDICOM[syntax],
            generate_instance_uid=False,
            **options,  # type: ignore[arg-type]  # jls_error, j2k_cr: the encoder's own
        )
        return ds
    source, target = folder / "native.dcm", folder / "by_gdcm.dcm"
    save(ds, source)
    reader, change, writer = (
        gdcm.ImageReader(),
        gdcm.ImageChangeTransferSyntax(),
        gdcm.ImageWriter(),
    )
    reader.SetFileName(str(source))
    assert reader.Read()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(str(syntax))))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    writer.SetFileName(str(target))
    assert writer.Write()
    return dcmread(target)


def jpeg_bytes(samples: Samples, **options: int | bool) -> bytes:
    """Encode by libjpeg-turbo (Pillow), not by the decoder under test."""
    written = io.BytesIO()
    Image.fromarray(samples).save(written, "JPEG", quality=95, **options)
    return written.getvalue()


def with_codestream(ds: Dataset, syntax: UID, *fragments: bytes) -> Dataset:
    """Give a data set the compressed frame in these fragments."""
    ds.PixelData = encapsulate([b"".join(fragments)], fragments_per_frame=len(fragments))
    ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
    ds.file_meta.TransferSyntaxUID = syntax
    return ds


def codestream(ds: Dataset) -> bytes:
    """Take the compressed frame out again."""
    return get_frame(ds.PixelData, 0, number_of_frames=1)


def baseline(samples: Samples, **options: int | bool) -> Dataset:
    """Make a JPEG baseline data set."""
    stream = jpeg_bytes(samples, **options)
    return with_codestream(dataset(samples), JPEGBaseline8Bit, stream)


def read(ds: Dataset, folder: Path) -> Radiograph:
    """Write the data set and read it as the node does."""
    return read_radiograph(save(ds, folder / "image.dcm"))[1]


def damages(stream: bytes) -> Iterator[tuple[str, bytes]]:
    """Cut at 25, 50 and 90 %, without the end marker, and with zeroed bytes."""
    size = len(stream)
    for per_cent in (25, 50, 90):
        yield f"cut at {per_cent} %", stream[: size * per_cent // 100]
    yield "no end", stream[:-4]
    yield "cut, end glued on", stream[: size // 2] + b"\xff\xd9"
    third = size // 3
    yield "zeroed third", stream[:third] + bytes(third) + stream[2 * third :]
