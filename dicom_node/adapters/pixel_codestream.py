"""Codestreams: what a compressed frame says about itself.

Read before any decoder sees the bytes: a decoder allocates by these numbers, and
some decoders fill up what is missing without a word.
"""

import struct
from dataclasses import dataclass

from dicom_node.domain.errors import NotAnalysable

START_OF_IMAGE = b"\xff\xd8"
END = b"\xff\xd9"
"""EOI of JPEG and JPEG-LS, EOC of JPEG 2000."""
START_OF_SCAN = 0xDA
FRAMES_OF_JPEG = {0xC0: "baseline", 0xC1: "extended", 0xC2: "progressive", 0xC3: "lossless"}
DCT_FRAMES = (0xC0, 0xC1, 0xC2)
FRAME_OF_JPEG_LS = 0xF7
JPEG_2000_START = b"\xff\x4f\xff\x51"
LARGEST_JP2_WRAPPER = 4096
ZERO_RUN = bytes(1024)
"""Longer than any row of empty packets; a lost block of a disk is at least 512."""
_NO_SEGMENT = {0x01, *range(0xD0, 0xD9)}
_FRAME = struct.Struct(">BHHB")
_SIZ = struct.Struct(">8IH3B")


@dataclass(frozen=True, slots=True)
class Codestream:
    """One compressed frame with the size that its own header gives."""

    content: bytes
    rows: int
    columns: int
    components: int
    precision: int
    signed: bool = False
    frame_marker: int = 0
    """SOFn of a JPEG: which process made it."""


def jpeg(stream: bytes) -> Codestream:
    """Read a JPEG stream's markers (ISO 10918-1 annex B).

    Raises NotAnalysable without SOI, frame header, scan or EOI.
    """
    return _jpeg(stream, "JPEG", FRAMES_OF_JPEG)


def jpeg_ls(stream: bytes) -> Codestream:
    """Read a JPEG-LS stream's markers (ISO 14495-1 annex C)."""
    return _jpeg(stream, "JPEG-LS", {FRAME_OF_JPEG_LS: "JPEG-LS"})


def _jpeg(stream: bytes, name: str, known_frames: dict[int, str]) -> Codestream:
    content = _up_to_end(stream, name)
    if not content.startswith(START_OF_IMAGE):
        raise NotAnalysable(f"damaged {name}: no start of image")
    position, frame = 2, None
    while True:
        marker, length = _segment(content, position, name)
        if marker in _NO_SEGMENT:
            position += 2
            continue
        if marker in known_frames and length >= 8:
            frame = (marker, *_FRAME.unpack_from(content, position + 4))
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            raise NotAnalysable(f"{name} process SOF{marker - 0xC0} cannot be decoded here")
        position += 2 + length
        if marker == START_OF_SCAN:
            break
    if frame is None:
        raise NotAnalysable(f"damaged {name}: no frame header before the scan")
    # no coded byte sequence looks like a marker, so another one ends an earlier image
    if content.find(END, position) != len(content) - 2:
        raise NotAnalysable(f"damaged {name}: more than one image in a frame")
    marker, precision, rows, columns, components = frame
    if marker in DCT_FRAMES and precision not in (8, 12):
        raise NotAnalysable(f"{name} of {precision} bits cannot be decoded here")
    return Codestream(content, rows, columns, components, precision, frame_marker=marker)


def _segment(content: bytes, position: int, name: str) -> tuple[int, int]:
    """Give the marker at `position` and the length of its segment."""
    while content[position : position + 2] == b"\xff\xff":  # fill bytes (B.1.1.2)
        position += 1
    head = content[position : position + 4]
    if len(head) < 4 or head[0] != 0xFF:
        raise NotAnalysable(f"damaged {name}: marker segments cannot be read")
    length = int.from_bytes(head[2:], "big")
    if head[1] not in _NO_SEGMENT and not 2 <= length <= len(content) - position - 2:
        raise NotAnalysable(f"damaged {name}: marker segments cannot be read")
    return head[1], length


def jpeg_2000(stream: bytes) -> Codestream:
    """Read the SIZ segment (ISO 15444-1 A.5.1) of JPEG 2000 or HTJ2K.

    A JP2 wrapper around it, which PS3.5 A.4.4 forbids, is taken off.
    """
    start = stream.find(JPEG_2000_START, 0, LARGEST_JP2_WRAPPER)
    content = _up_to_end(stream[max(start, 0) :], "JPEG 2000")
    if start < 0 or len(content) < 8 + _SIZ.size:
        raise NotAnalysable("damaged JPEG 2000: no start of codestream")
    right, bottom, left, top, *_tiles, components, depth, across, down = _SIZ.unpack_from(
        content, 8
    )
    if (across, down) != (1, 1):
        raise NotAnalysable("JPEG 2000 with subsampling cannot be decoded here")
    if ZERO_RUN in content:
        raise NotAnalysable("damaged JPEG 2000: a block of zeros in the coded bytes")
    precision, signed = (depth & 0x7F) + 1, depth > 0x7F
    return Codestream(content, bottom - top, right - left, components, precision, signed)


def _up_to_end(stream: bytes, name: str) -> bytes:
    """Cut the padding off; a frame without its end marker is truncated."""
    end = stream.rfind(END) + len(END)
    padding = stream[end:]
    if end < len(END) or (len(padding) > 1 and padding.strip(b"\0")):
        raise NotAnalysable(f"truncated {name}: no end of image")
    return stream[:end]
