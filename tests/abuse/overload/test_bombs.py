"""Small inputs that ask for much: bounded before memory is taken or time is spent."""

import struct
import time
import tracemalloc
import zlib
from pathlib import Path

import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEG2000Lossless, RLELossless

from dicom_node.domain.errors import NotAnalysable
from dicom_node.domain.reception import Caller
from dicom_node.formats.dicom.pixels import codestream as pixel_codestream
from dicom_node.network.dicomweb.store import store_request
from tests.support.encoded import CHEST, chest, explicit_element
from tests.support.headers import describe_bytes
from tests.support.pixel_files import (
    codestream,
    compress,
    dataset,
    film,
    jpeg_bytes,
    read,
    with_codestream,
)
from tests.support.raw_scu import EXPLICIT, RawSCU
from tests.support.receiver import receiver

MANY = 200_000
ITEMS = b"\xfe\xff\x00\xe0\0\0\0\0" * MANY
ELEMENTS = b"".join(
    struct.pack("<HH2sH", 0x0009 + 2 * (number >> 16), number & 0xFFFF, b"CS", 0)
    for number in range(MANY)
)
VIEW_CODES = struct.pack("<HH2sH", 0x54, 0x220, b"SQ", 0)
BOUND_S = 8.0
"""Of the processor's time: a tenth of it is enough; without bounds it takes several times it."""


@pytest.mark.parametrize(
    ("content", "syntax"),
    [
        (ELEMENTS, EXPLICIT),
        (zlib.compress(ELEMENTS)[2:-4], str(DeflatedExplicitVRLittleEndian)),
        (VIEW_CODES + b"\xff\xff\xff\xff" + ITEMS, EXPLICIT),
    ],
)
def test_headers_without_end_are_refused(content: bytes, syntax: str) -> None:
    began = time.process_time()
    with pytest.raises(NotAnalysable, match="too many elements"):
        describe_bytes(content, syntax)
    assert time.process_time() - began < BOUND_S


def test_a_sequence_without_end_says_nothing() -> None:
    codes = VIEW_CODES + struct.pack("<L", len(ITEMS)) + ITEMS
    elements = {tag: CHEST[tag] for tag in CHEST if tag not in (0x00185101, 0x7FE00010)}
    header = b"".join(explicit_element(tag, *elements[tag]) for tag in sorted(elements))
    began = time.process_time()
    instance = describe_bytes(header + codes, EXPLICIT)
    assert (instance.modality, instance.view_position) == ("CR", "")
    assert time.process_time() - began < BOUND_S


def test_file_meta_without_end_is_looked_past() -> None:
    big = struct.pack("<HH2sHL", 2, 0x102, b"SQ", 0, len(ITEMS)) + ITEMS
    syntax = explicit_element(0x00020010, b"UI", EXPLICIT.encode())
    began = time.process_time()
    request = store_request(
        bytes(128) + b"DICM" + syntax + big + chest(), Caller("A", "B", "127.0.0.1")
    )
    assert request.transfer_syntax_uid == EXPLICIT
    assert time.process_time() - began < BOUND_S


def test_numbers_and_texts_without_end_are_cut_and_stored(tmp_path: Path) -> None:
    image = chest(
        {
            0x00280008: (b"IS", b"9" * 40),
            0x00100020: (b"LO", b"A" * 60_000),
            0x00200013: (b"IS", b"-" + b"9" * 5000),
        }
    )
    with receiver(tmp_path) as node, RawSCU(node.port) as scu:
        assert scu.store(image).status == 0x0000
        assert node.outcomes() == ["not analysed: multi-frame image"]
    assert describe_bytes(image, EXPLICIT).patient_id == "A" * 10_240


def test_a_rescale_beyond_all_numbers(tmp_path: Path) -> None:
    for slope, intercept in (("1e308", "0"), ("1", "1e308"), ("-1e305", "-1e308")):
        ds = dataset(film(8), RescaleSlope=slope, RescaleIntercept=intercept)
        with pytest.raises(NotAnalysable, match=r"rescale slope is damaged|blank"):
            read(ds, tmp_path)


def test_a_run_length_bomb(tmp_path: Path) -> None:
    samples = film(bits=8, rows=256, columns=256)
    bomb = struct.pack("<16L", 1, 64, *[0] * 14) + b"\x81\x00" * 500_000  # 64 MB
    ds = with_codestream(dataset(samples), RLELossless, bomb)
    tracemalloc.start()
    try:
        with pytest.raises(NotAnalysable, match="RLE"):
            read(ds, tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def test_a_progressive_jpeg_of_thousands_of_scans() -> None:
    sound = jpeg_bytes(film(bits=8), progressive=True)
    last = sound.rindex(b"\xff\xda")
    bomb = sound[:-2] + sound[last:-2] * 2000 + sound[-2:]
    with pytest.raises(NotAnalysable, match="scans"):
        pixel_codestream.jpeg(bomb)
    assert pixel_codestream.jpeg(sound).frame_marker == 0xC2


@pytest.mark.parametrize("tile", [1, 2, 0, 0xFFFFFFFF])
def test_jpeg_2000_tiles_that_lie(tile: int, tmp_path: Path) -> None:
    samples = film(bits=8, rows=256, columns=256)
    stream = bytearray(codestream(compress(dataset(samples), JPEG2000Lossless, tmp_path)))
    # XTsiz and YTsiz of the SIZ segment (ISO 15444-1 A.5.1)
    struct.pack_into(">LL", stream, stream.index(b"\xff\x51") + 22, tile, tile)
    began = time.process_time()
    try:
        read(with_codestream(dataset(samples), JPEG2000Lossless, bytes(stream)), tmp_path)
    except NotAnalysable:
        assert tile != 0xFFFFFFFF  # one tile beyond the image is all of it
    assert time.process_time() - began < BOUND_S
