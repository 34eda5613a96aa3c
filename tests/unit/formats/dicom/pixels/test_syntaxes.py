"""Every transfer syntax gives the image that was encoded."""

import threading
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    JPEG2000MC,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from dicom_node.domain.errors import NotAnalysable
from dicom_node.formats.dicom.pixels.radiograph import read_radiograph
from tests.support.pixel_files import (
    Attribute,
    Samples,
    baseline,
    codestream,
    compress,
    dataset,
    film,
    jpeg_bytes,
    read,
    save,
    with_codestream,
)

FRAMES = Path(__file__).parent / "frames"
"""HTJ2K made by OpenJPH 0.26.3, which shares no code with the decoder."""
NATIVE = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
)
LOSSLESS = (
    RLELossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEG2000Lossless,
)


def whole_range(bits: int, signed: bool = False) -> dict[str, Attribute]:
    """Give the window that shows value v as v / 2**bits, exactly."""
    center = 0 if signed else 2 ** (bits - 1)
    function = "LINEAR_EXACT"
    return {"WindowCenter": center, "WindowWidth": 2**bits, "VOILUTFunction": function}


def shown(samples: Samples, bits: int) -> NDArray[np.float32]:
    offset = 2 ** (bits - 1) if samples.dtype.kind == "i" else 0
    expected: NDArray[np.float32] = ((samples + float(offset)) / 2**bits).astype(np.float32)
    return expected


def signed_film(bits: int = 12) -> Samples:
    samples: Samples = (film(bits).astype(np.int32) - 2 ** (bits - 1)).astype(np.int16)
    return samples


@pytest.mark.parametrize("syntax", NATIVE, ids=lambda uid: uid.name)
@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_native_is_shown_as_stored(syntax: UID, bits: int, tmp_path: Path) -> None:
    samples = film(bits)
    ds = dataset(samples, bits, **whole_range(bits))
    ds.file_meta.TransferSyntaxUID = syntax
    radiograph = read(ds, tmp_path)
    assert radiograph.pixels.dtype == np.float32
    assert np.array_equal(radiograph.pixels, shown(samples, bits))
    assert radiograph.ref.sop_instance_uid == "1.2.3.4"


def test_big_endian_words_of_8_bit_pixels_are_swapped_back(tmp_path: Path) -> None:
    samples = film(8, rows=301, columns=289)  # an odd number of bytes
    ds = dataset(samples, **whole_range(8))
    ds.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    ds["PixelData"].VR = "OW"
    ds.PixelData = np.frombuffer(ds.PixelData, np.uint16).byteswap().tobytes()
    path = tmp_path / "image.dcm"
    ds.save_as(path, enforce_file_format=True)
    assert np.array_equal(read_radiograph(path)[1].pixels, shown(samples, 8))


@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda uid: uid.name)
@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_lossless_is_the_native_image(syntax: UID, bits: int, tmp_path: Path) -> None:
    samples = film(bits)
    ds = compress(dataset(samples, bits, **whole_range(bits)), syntax, tmp_path)
    assert ds.file_meta.TransferSyntaxUID == syntax
    assert np.array_equal(read(ds, tmp_path).pixels, shown(samples, bits))


@pytest.mark.parametrize(
    "syntax",
    [ExplicitVRLittleEndian, RLELossless, JPEGLSLossless, JPEG2000Lossless, JPEGLosslessSV1],
    ids=lambda uid: uid.name,
)
def test_signed_values_stay_signed(syntax: UID, tmp_path: Path) -> None:
    samples = signed_film()
    ds = dataset(samples, 12, **whole_range(12, signed=True))
    if syntax != ExplicitVRLittleEndian:
        ds = compress(ds, syntax, tmp_path)
    assert np.array_equal(read(ds, tmp_path).pixels, shown(samples, 12))


@pytest.mark.parametrize("header_signed", [0, 1])
def test_codestream_of_the_other_sign_is_read_by_its_bits(
    header_signed: int, tmp_path: Path
) -> None:
    # the same 12 bits, once as the encoder saw them and once as the header says
    coded: Samples = film(12) if header_signed else signed_film(12)
    window = whole_range(12, signed=bool(header_signed))
    ds = compress(dataset(coded, 12, **window), JPEG2000Lossless, tmp_path)
    ds.PixelRepresentation = header_signed
    bits = coded.astype(np.int32) & 0xFFF
    meant = bits - ((bits >> 11) << 12) if header_signed else bits
    expected = (meant + (2048 if header_signed else 0)) / 4096
    assert np.array_equal(read(ds, tmp_path).pixels, expected.astype(np.float32))


def test_precision_above_bits_stored(tmp_path: Path) -> None:
    samples = film(12)
    ds = compress(dataset(samples, 16, **whole_range(12)), JPEG2000Lossless, tmp_path)
    ds.BitsStored, ds.HighBit = 12, 11
    assert np.array_equal(read(ds, tmp_path).pixels, shown(samples, 12))


def test_jpeg_ls_near_lossless_stays_within_its_error(tmp_path: Path) -> None:
    samples = film(12)
    ds = dataset(samples, 12, **whole_range(12))
    ds = compress(ds, JPEGLSNearLossless, tmp_path, jls_error=3)
    radiograph = read(ds, tmp_path)
    assert 0 < np.abs(radiograph.pixels - shown(samples, 12)).max() <= 3 / 4096
    assert "lossy source" in radiograph.notes


def test_lossy_jpeg_2000_is_close(tmp_path: Path) -> None:
    samples = film(12)
    ds = dataset(samples, 12, LossyImageCompression="01", **whole_range(12))
    radiograph = read(compress(ds, JPEG2000, tmp_path, j2k_cr=[8]), tmp_path)
    assert np.abs(radiograph.pixels - shown(samples, 12)).max() < 0.05
    assert "lossy source" in radiograph.notes


@pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless])
@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"restart_marker_blocks": 5}, {"optimize": True}]
)
def test_jpeg_as_pillow_reads_it(
    syntax: UID, options: dict[str, int | bool], tmp_path: Path
) -> None:
    samples = film(8)
    ds = dataset(samples, **whole_range(8))
    ds = with_codestream(ds, syntax, jpeg_bytes(samples, **options))  # what it is counts
    radiograph = read(ds, tmp_path)
    assert np.abs(radiograph.pixels - shown(samples, 8)).max() < 0.03


@pytest.mark.parametrize("syntax", [HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K])
def test_htj2k(syntax: UID, tmp_path: Path) -> None:
    y, x = np.mgrid[0:256, 0:260]
    samples = ((x * x + y * y) // 40 + 500 * ((x // 65 + y // 64) % 2)).astype(np.uint16)
    ds = dataset(samples, 12, **whole_range(12))
    kind = "lossy" if syntax == HTJ2K else "lossless"
    stream = (FRAMES / f"htj2k_{kind}.j2c").read_bytes()
    pixels = read(with_codestream(ds, syntax, stream), tmp_path).pixels
    difference = np.abs(pixels - shown(samples, 12)).max()
    assert difference <= (1 / 4096 if kind == "lossy" else 0)


def test_fragments_are_joined_whatever_the_offset_table_says(tmp_path: Path) -> None:
    stream = jpeg_bytes(film(8))
    ds = with_codestream(dataset(film(8)), JPEGBaseline8Bit, stream)
    whole = read(ds, tmp_path).pixels
    pieces = (stream[:1000], stream[1000:1002], stream[1002:])
    split = with_codestream(dataset(film(8)), JPEGBaseline8Bit, *pieces)
    lying = bytes.fromhex("feff00e0 08000000 11223344 ffffff7f")
    empty_table = bytes.fromhex("feff00e0 00000000")
    start = split.PixelData.index(b"\xfe\xff\x00\xe0", 4)
    for table in (lying, empty_table):
        split.PixelData = table + split.PixelData[start:]
        start = len(table)
        assert np.array_equal(read(split, tmp_path).pixels, whole)


def test_jp2_wrapper_is_taken_off(tmp_path: Path) -> None:
    samples = film(12)
    ds = compress(dataset(samples, 12, **whole_range(12)), JPEG2000Lossless, tmp_path)
    stream = codestream(ds).rstrip(b"\0")
    box = (len(stream) + 8).to_bytes(4, "big") + b"jp2c"
    wrapped = bytes.fromhex("0000000c6a5020200d0a870a") + box + stream
    wrapped += b"\0" * (len(wrapped) % 2)
    ds = with_codestream(ds, JPEG2000Lossless, wrapped)
    assert np.array_equal(read(ds, tmp_path).pixels, shown(samples, 12))


def test_unknown_transfer_syntax_is_named(tmp_path: Path) -> None:
    ds = with_codestream(dataset(film(8)), JPEG2000MC, bytes(100))
    with pytest.raises(NotAnalysable, match="transfer syntax JPEG 2000 Part 2"):
        read(ds, tmp_path)


def test_header_comes_back_without_the_pixels(tmp_path: Path) -> None:
    path = save(dataset(film(12), 12, AccessionNumber="A1"), tmp_path / "image.dcm")
    header, _ = read_radiograph(path)
    assert "PixelData" not in header
    assert (header.AccessionNumber, header.Rows) == ("A1", 301)
    assert header.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian


def test_threads_decode_jpeg_at_the_same_time(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    samples = film(8)
    save(baseline(samples), tmp_path / "sound.dcm")
    stream = jpeg_bytes(samples)
    third = len(stream) // 3
    broken = stream[:third] + bytes(300) + stream[third + 300 :]
    ds = with_codestream(dataset(samples), JPEGBaseline8Bit, broken)
    save(ds, tmp_path / "broken.dcm")
    outcomes: list[tuple[str, bool]] = []

    def read_often(name: str) -> None:
        for _ in range(5):
            try:
                read_radiograph(tmp_path / f"{name}.dcm")
                outcomes.append((name, True))
            except NotAnalysable:
                outcomes.append((name, False))

    threads = [threading.Thread(target=read_often, args=(name,)) for name in ("sound", "broken")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [("broken", False)] * 5 + [("sound", True)] * 5
    assert capfd.readouterr().err == ""
