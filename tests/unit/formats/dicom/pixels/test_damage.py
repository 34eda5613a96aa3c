"""Damaged pixels are told, never filled up and read."""

import io
import resource
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from dicom_node.domain.errors import NotAnalysable
from dicom_node.formats.dicom.pixels.radiograph import read_radiograph
from tests.support.pixel_files import (
    baseline,
    codestream,
    compress,
    damages,
    dataset,
    film,
    jpeg_bytes,
    read,
    save,
    with_codestream,
)

CODECS = (RLELossless, JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless)
DAMAGES = ("cut at 25 %", "cut at 50 %", "cut at 90 %", "no end", "cut, end glued on")


def coded(syntax: UID, folder: Path, bits: int = 12) -> tuple[UID, bytes]:
    if syntax == JPEGBaseline8Bit:
        return syntax, jpeg_bytes(film(8))
    return syntax, codestream(compress(dataset(film(bits), bits), syntax, folder))


def reading_of(syntax: UID, stream: bytes, folder: Path) -> None:
    bits = 8 if syntax == JPEGBaseline8Bit else 12
    read(with_codestream(dataset(film(bits), bits), syntax, stream), folder)


@pytest.mark.parametrize("syntax", [*CODECS, JPEGBaseline8Bit], ids=lambda uid: uid.name)
@pytest.mark.parametrize("kind", [*DAMAGES, "zeroed third"])
def test_cut_or_zeroed_frame(syntax: UID, kind: str, tmp_path: Path) -> None:
    _, stream = coded(syntax, tmp_path)
    reading_of(syntax, stream, tmp_path)  # sound as long as nothing is done to it
    with pytest.raises(NotAnalysable, match=r"damaged|truncated"):
        reading_of(syntax, dict(damages(stream))[kind], tmp_path)


@pytest.mark.parametrize(
    "syntax",
    [RLELossless, JPEGLossless, JPEGLSLossless, JPEGBaseline8Bit],
    ids=lambda uid: uid.name,
)
def test_lost_disk_sector(syntax: UID, tmp_path: Path) -> None:
    # in JPEG 2000 it ends in a few wrong code blocks, and no decoder tells
    _, stream = coded(syntax, tmp_path)
    half, length = len(stream) // 2, 512
    with pytest.raises(NotAnalysable, match="damaged"):
        reading_of(syntax, stream[:half] + bytes(length) + stream[half + length :], tmp_path)


@pytest.mark.parametrize("syntax", [*CODECS, JPEGBaseline8Bit], ids=lambda uid: uid.name)
def test_no_start_of_image(syntax: UID, tmp_path: Path) -> None:
    _, stream = coded(syntax, tmp_path)
    with pytest.raises(NotAnalysable, match="damaged"):
        reading_of(syntax, b"\0\0" + stream[2:], tmp_path)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
@pytest.mark.parametrize("share", [0.25, 0.5, 0.9])
def test_file_cut_inside_native_pixels(syntax: UID, share: float, tmp_path: Path) -> None:
    ds = dataset(film(12), 12)
    ds.file_meta.TransferSyntaxUID = syntax
    path = save(ds, tmp_path / "image.dcm")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(NotAnalysable, match=r"truncated pixel data: \d+ bytes are missing"):
        read_radiograph(path)


def test_declared_length_too_short_for_the_image(tmp_path: Path) -> None:
    ds = dataset(film(12), 12)
    ds.PixelData = ds.PixelData[:-2]
    with pytest.raises(NotAnalysable, match="truncated pixel data: 2 bytes are missing"):
        read(ds, tmp_path)


def test_extra_bytes_are_noted(tmp_path: Path) -> None:
    ds = dataset(film(12), 12)
    sound = read(ds, tmp_path)
    ds.PixelData += bytes(100)
    radiograph = read(ds, tmp_path)
    assert np.array_equal(radiograph.pixels, sound.pixels)
    assert "extra bytes after the pixel data" in radiograph.notes
    assert "extra bytes after the pixel data" not in sound.notes


def test_pixels_of_a_second_frame(tmp_path: Path) -> None:
    ds = dataset(film(12), 12)
    ds.PixelData *= 2
    with pytest.raises(NotAnalysable, match="more than one frame"):
        read(ds, tmp_path)


@pytest.mark.parametrize("segment", ["ffe0 0010 4a46494600 3f01 0000010001 0000", "fffe 0004 4141"])
def test_application_segments_do_not_matter(segment: str, tmp_path: Path) -> None:
    # GDCM ends the whole process at a JFIF version that libjpeg warns of
    stream = jpeg_bytes(film(8))
    assert stream[2:4] == b"\xff\xe0"
    after = 4 + int.from_bytes(stream[4:6], "big")
    changed = stream[:2] + bytes.fromhex(segment) + stream[after:]
    pixels = [
        read(with_codestream(dataset(film(8)), JPEGBaseline8Bit, one), tmp_path).pixels
        for one in (stream, changed)
    ]
    assert np.array_equal(*pixels)


def test_second_image_in_one_codestream(tmp_path: Path) -> None:
    stream = jpeg_bytes(film(8))
    with pytest.raises(NotAnalysable, match="marker inside the coded bytes"):
        reading_of(JPEGBaseline8Bit, stream + stream, tmp_path)


@pytest.mark.parametrize("share", [0.3, 0.7])
def test_file_cut_inside_a_fragment(share: float, tmp_path: Path) -> None:
    path = save(baseline(film(8)), tmp_path / "image.dcm")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(NotAnalysable, match="fragment is cut or missing"):
        read_radiograph(path)


def test_file_without_sequence_delimiter(tmp_path: Path) -> None:
    path = save(baseline(film(8)), tmp_path / "image.dcm")
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(NotAnalysable, match="fragment is cut or missing"):
        read_radiograph(path)


def test_deflated_stream_cut(tmp_path: Path) -> None:
    ds = dataset(film(12), 12)
    ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    path = save(ds, tmp_path / "image.dcm")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(NotAnalysable, match="truncated pixel data"):
        read_radiograph(path)


def relabelled(ds: Dataset, syntax: bytes, path: Path) -> Path:
    """Save, then change the transfer syntax in the File Meta only."""
    content = save(ds, path).read_bytes()
    old = ds.file_meta.TransferSyntaxUID.encode()
    length = len(old) + len(old) % 2
    assert length >= len(syntax)
    path.write_bytes(content.replace(old.ljust(length, b"\0"), syntax.ljust(length, b"\0"), 1))
    return path


def test_native_pixels_under_a_compressed_syntax(tmp_path: Path) -> None:
    ds = dataset(film(8))
    path = relabelled(ds, b"1.2.840.10008.1.2.5", tmp_path / "image.dcm")  # RLE
    with pytest.raises(NotAnalysable, match="not encapsulated"):
        read_radiograph(path)


def test_fragments_under_a_native_syntax(tmp_path: Path) -> None:
    path = relabelled(baseline(film(8)), b"1.2.840.10008.1.2.1", tmp_path / "image.dcm")
    with pytest.raises(NotAnalysable, match="encapsulated pixel data in an uncompressed"):
        read_radiograph(path)


@pytest.mark.parametrize(
    "syntax", [JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless, JPEGBaseline8Bit]
)
@pytest.mark.parametrize("size", [(300, 288), (301, 512), (288, 301)])
def test_codestream_of_another_size(syntax: UID, size: tuple[int, int], tmp_path: Path) -> None:
    _, stream = coded(syntax, tmp_path)
    bits = 8 if syntax == JPEGBaseline8Bit else 12
    ds = with_codestream(dataset(film(bits), bits), syntax, stream)
    ds.Rows, ds.Columns = size
    with pytest.raises(NotAnalysable, match="compressed image of 301 x 288 in a header of"):
        read(ds, tmp_path)


@pytest.mark.parametrize("size", [(300, 288), (301, 512)])
def test_rle_of_another_size(size: tuple[int, int], tmp_path: Path) -> None:
    ds = compress(dataset(film(12), 12), RLELossless, tmp_path)
    ds.Rows, ds.Columns = size
    with pytest.raises(NotAnalysable, match="segment does not give the image's size"):
        read(ds, tmp_path)


def test_codestream_with_more_bits_than_allocated(tmp_path: Path) -> None:
    _, stream = coded(JPEGLosslessSV1, tmp_path)
    ds = with_codestream(dataset(film(8)), JPEGLosslessSV1, stream)
    with pytest.raises(NotAnalysable, match="compressed image of 16 bits, header of 8"):
        read(ds, tmp_path)


def test_colour_codestream_in_a_gray_header(tmp_path: Path) -> None:
    written = io.BytesIO()
    Image.fromarray(np.dstack([film(8)] * 3)).save(written, "JPEG")
    with pytest.raises(NotAnalysable, match="colour image"):
        reading_of(JPEGBaseline8Bit, written.getvalue(), tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"Rows": 0}, "Rows or Columns is 0"),
        ({"Columns": 255}, "too small"),
        ({"Rows": 65535}, "too large"),
        ({"Rows": 15000, "Columns": 15000}, "too large"),
        ({"NumberOfFrames": 2}, "multi-frame"),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "colour"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "colour"),
        ({"PhotometricInterpretation": ""}, "photometric interpretation missing"),
        ({"BitsAllocated": 32}, "32 bits allocated"),
        ({"BitsStored": 4}, "4 bits stored"),
        ({"BitsStored": 17}, "17 bits stored"),
        ({"HighBit": 7}, "12 bits stored up to bit 7"),
    ],
)
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, JPEG2000Lossless])
def test_header_is_checked_before_anything_is_allocated(
    syntax: UID, change: dict[str, int | str], words: str, tmp_path: Path
) -> None:
    ds = dataset(film(12), 12)
    if syntax == JPEG2000Lossless:
        ds = compress(ds, syntax, tmp_path)
    for keyword, value in change.items():
        setattr(ds, keyword, value)
    path = save(ds, tmp_path / "image.dcm")
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tracemalloc.start()
    try:
        with pytest.raises(NotAnalysable, match=words):
            read_radiograph(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - resident < 20_000  # kB


def test_codestream_that_claims_more_is_never_decoded(tmp_path: Path) -> None:
    _, stream = coded(JPEG2000Lossless, tmp_path)
    size = (0x7FFFFFFF).to_bytes(4, "big")
    bomb = stream[:8] + size + size + stream[16:]
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(NotAnalysable, match="compressed image of 2147483647 x 2147483647"):
        reading_of(JPEG2000Lossless, bomb, tmp_path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - resident < 20_000


def test_deflated_bomb(tmp_path: Path) -> None:
    ds = dataset(film(12), 12)
    path = save(ds, tmp_path / "image.dcm")
    content = path.read_bytes()
    start = content.index(b"\x08\x00\x16\x00UI")
    bomb = content[start:] + bytes(40 << 20)
    pressed = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    deflated = pressed.compress(bomb) + pressed.flush()
    del bomb
    ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    head = save(ds, path).read_bytes()
    path.write_bytes(head[: head.index(DeflatedExplicitVRLittleEndian.encode()) + 22] + deflated)
    tracemalloc.start()
    try:
        read_radiograph(path)  # what follows the pixels is never inflated
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20


def test_more_fragments_than_an_image_can_need(tmp_path: Path) -> None:
    with pytest.raises(NotAnalysable, match="larger than the image"):
        reading_of(JPEGBaseline8Bit, jpeg_bytes(film(8)) + bytes(3 << 20), tmp_path)


def test_file_without_pixels(tmp_path: Path) -> None:
    ds = dataset(film(12), 12)
    del ds.PixelData
    with pytest.raises(NotAnalysable, match="no pixel data"):
        read(ds, tmp_path)
