"""Codestreams: what a compressed frame says about itself.

Read before any decoder sees the bytes: a decoder allocates by these numbers, and
some decoders fill up what is missing without a word.
"""

import re
import struct
from dataclasses import dataclass

from dicom_node.domain.errors import NotAnalysable

START_OF_IMAGE = b"\xff\xd8"
END = b"\xff\xd9"
"""EOI of JPEG and JPEG-LS, EOC of JPEG 2000."""
START_OF_SCAN = 0xDA
FRAMES_OF_JPEG = (0xC0, 0xC1, 0xC2, 0xC3)
"""Baseline, extended, progressive, lossless; all with Huffman coding."""
DCT_FRAMES = (0xC0, 0xC1, 0xC2)
FRAME_OF_JPEG_LS = 0xF7
JPEG_2000_START = b"\xff\x4f\xff\x51"
LARGEST_JP2_WRAPPER = 4096
ZERO_RUN = bytes(1024)
"""Longer than any row of empty packets; a lost block of a disk is at least 512."""
MOST_SCANS = 100
"""Of a progressive JPEG; encoders make ten, and each costs a pass over the image."""
_NO_SEGMENT = (0x00, 0x01, *range(0xD0, 0xDA))
_APPLICATION = (*range(0xE0, 0xF0), 0xFE)
"""APPn and COM, left out: GDCM 3.2 ends the whole process at a JFIF version of 2."""
_SEQUENTIAL = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""Coded bytes hold no marker but RSTn: what else looks like one is damage, or EOI."""
_STRAY_MARKER = {
    0xC0: _SEQUENTIAL,
    0xC1: _SEQUENTIAL,
    0xC2: re.compile(rb"\xff[^\x00\xd0-\xd7\xff\xc4\xda\xdd]"),  # tables between scans
    0xC3: _SEQUENTIAL,
    FRAME_OF_JPEG_LS: re.compile(rb"\xff[^\x00-\x7f\xd0-\xd7\xff]"),  # stuffs one bit
}
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
    codestream = _jpeg(stream, "JPEG", FRAMES_OF_JPEG)
    if codestream.frame_marker in DCT_FRAMES and codestream.precision not in (8, 12):
        raise NotAnalysable(f"JPEG of {codestream.precision} bits cannot be decoded here")
    return codestream


def jpeg_ls(stream: bytes) -> Codestream:
    """Read a JPEG-LS stream's markers (ISO 14495-1 annex C)."""
    return _jpeg(stream, "JPEG-LS", (FRAME_OF_JPEG_LS,))


def _jpeg(stream: bytes, name: str, known_frames: tuple[int, ...]) -> Codestream:
    content = _up_to_end(stream, name)
    if not content.startswith(START_OF_IMAGE):
        raise NotAnalysable(f"damaged {name}: no start of image")
    position, frame, kept, marker = 2, None, [START_OF_IMAGE], 0
    while marker != START_OF_SCAN:
        marker, start, end = _segment(content, position, name)
        if marker in known_frames and end - start >= 10:
            frame = (marker, *_FRAME.unpack_from(content, start + 4))
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            raise NotAnalysable(f"{name} process SOF{marker - 0xC0} cannot be decoded here")
        if marker not in _APPLICATION:
            kept.append(content[start:end])
        position = end
    if frame is None:
        raise NotAnalysable(f"damaged {name}: no frame header before the scan")
    marker, precision, rows, columns, components = frame
    coded = content[position:]
    stray = _STRAY_MARKER[marker].search(coded)
    if stray is None or stray.start() != len(coded) - 2:
        raise NotAnalysable(f"damaged {name}: a marker inside the coded bytes")
    if coded.count(b"\xff\xda") > MOST_SCANS:
        raise NotAnalysable(f"{name} of more than {MOST_SCANS} scans")
    whole = b"".join((*kept, coded))
    return Codestream(whole, rows, columns, components, precision, frame_marker=marker)


def _segment(content: bytes, position: int, name: str) -> tuple[int, int, int]:
    """Give the marker at `position`, its place and the end of its segment."""
    while content[position : position + 2] == b"\xff\xff":  # fill bytes (B.1.1.2)
        position += 1
    head = content[position : position + 4]
    if len(head) == 4 and head[0] == 0xFF and head[1] not in _NO_SEGMENT:
        end = position + 2 + int.from_bytes(head[2:], "big")
        if position + 4 <= end <= len(content):
            return head[1], position, end
    raise NotAnalysable(f"damaged {name}: marker segments cannot be read")


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
