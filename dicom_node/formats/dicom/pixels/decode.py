"""Decoders: a compressed frame to stored bit patterns."""

import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import gdcm
import jpeg_ls  # type: ignore[import-untyped]  # publishes no types
import numpy as np
from numpy.typing import NDArray
from openjpeg.utils import decode as openjpeg_decode
from pydicom import config
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
)

from dicom_node.domain.errors import NotAnalysable
from dicom_node.formats.dicom.pixels import codestream as pixel_codestream
from dicom_node.formats.dicom.pixels.codestream import Codestream

Patterns = NDArray[np.uint8] | NDArray[np.uint16]

LOSSY = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless)
"""Always lossy; the second JPEG 2000 syntaxes may be either."""
MAYBE_LOSSY = (*LOSSY, JPEG2000, HTJ2K)
_GDCM_SYNTAX = {
    0xC0: JPEGBaseline8Bit,
    0xC1: JPEGExtended12Bit,
    0xC2: JPEGBaseline8Bit,
    0xC3: JPEGLossless,
}
_LIBJPEG_DAMAGE = (
    b"Corrupt JPEG data",
    b"Premature end of JPEG",
    b"Inconsistent progression",
    b"Bogus ",
    b"Huffman table",
    b"Quantization table",
    b"Invalid component",
    b"Unsupported marker",
)
_LIBJPEG_CHATTER = (b"Unsupported JPEG data precision", b"Invalid SOS parameters")
"""Harmless: GDCM tries 8 bits first, and asks sequential requests of lossless scans."""
_one_at_a_time = threading.Lock()


def codestream_of(transfer_syntax_uid: str, stream: bytes) -> Codestream:
    """Read a frame's own header; raises NotAnalysable for an unknown syntax."""
    read = _HEADERS.get(transfer_syntax_uid)
    if read is None:
        name = UID(transfer_syntax_uid, config.IGNORE).name
        raise NotAnalysable(f"transfer syntax {name} cannot be decoded here")
    return read(stream)


def decode(transfer_syntax_uid: str, codestream: Codestream) -> Patterns:
    """Decode one grayscale frame to (rows, columns) of bit patterns.

    Samples come as 8 bits up to a precision of 8, else as 16; negative values as
    two's complement. Raises NotAnalysable when the decoder finds a fault.
    """
    try:
        patterns = _DECODERS[transfer_syntax_uid](codestream)
    except (OSError, MemoryError, NotAnalysable):
        raise
    except Exception as error:
        # each library has errors of its own, from RuntimeError to SystemError
        raise NotAnalysable(f"damaged pixel data: {type(error).__name__} in the decoder") from error
    if patterns.size != codestream.rows * codestream.columns:
        raise NotAnalysable("damaged pixel data: the decoder gave another image size")
    return patterns.reshape(codestream.rows, codestream.columns)


def _samples(content: bytes | bytearray | NDArray[np.uint8], precision: int) -> Patterns:
    if precision <= 8:
        return np.frombuffer(content, np.uint8)
    return np.frombuffer(content, np.uint16)


def _decode_jpeg(codestream: Codestream) -> Patterns:
    image = _gdcm_image(codestream)
    with _libjpeg_words() as words:
        buffer = image.GetBuffer()
    if words:
        # libjpeg fills up what it cannot read and only mentions it
        raise NotAnalysable(f"damaged JPEG: {words[0].decode('ascii', 'replace')}")
    if buffer is None:
        raise NotAnalysable("damaged JPEG: the decoder gave up")
    # SWIG hands C's bytes out as text
    return _samples(buffer.encode("utf-8", "surrogateescape"), codestream.precision)


def _gdcm_image(codestream: Codestream) -> "gdcm.Image":
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(codestream.content)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((codestream.columns, codestream.rows, 1))
    image.SetPhotometricInterpretation(
        gdcm.PhotometricInterpretation(gdcm.PhotometricInterpretation.MONOCHROME2)
    )
    syntax = gdcm.TransferSyntax.GetTSType(str(_GDCM_SYNTAX[codestream.frame_marker]))
    image.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    precision = codestream.precision
    bits = 8 if precision <= 8 else 16
    image.SetPixelFormat(gdcm.PixelFormat(1, bits, precision, precision - 1, 0))
    image.SetDataElement(element)
    return image


@contextmanager
def _libjpeg_words() -> Iterator[list[bytes]]:
    """Collect what libjpeg inside gdcm complains of.

    It writes to the C library's stderr and has no other way of saying so. What
    others write meanwhile is passed on.
    """
    words: list[bytes] = []
    with _one_at_a_time, tempfile.TemporaryFile() as written:
        if sys.stderr is not None:  # a service may run without one
            sys.stderr.flush()
        kept = os.dup(2)
        os.dup2(written.fileno(), 2)
        try:
            yield words
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            written.seek(0)
            for line in written.read().splitlines():
                if line.startswith(_LIBJPEG_DAMAGE):
                    words.append(line)
                elif not line.startswith(_LIBJPEG_CHATTER):
                    os.write(2, line + b"\n")


def _decode_jpeg_ls(codestream: Codestream) -> Patterns:
    content, _header = jpeg_ls.decode_buffer(codestream.content)
    return _samples(content, codestream.precision)


def _decode_jpeg_2000(codestream: Codestream) -> Patterns:
    content = openjpeg_decode(codestream.content, j2k_format=0, reshape=False)
    return _samples(content, codestream.precision)


def decode_rle(stream: bytes, rows: int, columns: int, bits_allocated: int) -> Patterns:
    """Decode one RLE frame (PS3.5 annex G); its segments are bytes, the highest first."""
    count = bits_allocated // 8
    offsets = np.frombuffer(stream[:64].ljust(64, b"\0"), "<u4")
    if offsets[0] != count:
        raise NotAnalysable(f"damaged RLE: {offsets[0]} segments for {bits_allocated} bits")
    edges = [*offsets[1 : count + 1].tolist(), len(stream)]
    if edges[0] < 64 or sorted(set(edges)) != edges:
        raise NotAnalysable("damaged RLE: wrong segment offsets")
    planes = np.empty((rows * columns, count), np.uint8)
    for place in range(count):
        segment = stream[edges[place] : edges[place + 1]]
        planes[:, count - 1 - place] = _rle_segment(segment, rows * columns)
    samples: Patterns = planes if count == 1 else planes.view(np.uint16)
    return samples.reshape(rows, columns)


def _rle_segment(segment: bytes, needed: int) -> NDArray[np.uint8]:
    """Expand a segment that must give exactly the bytes needed (PS3.5 G.3.2).

    A run that is cut gives too few. One byte of padding to an even length gives
    none: it reads as a run whose bytes are not there.
    """
    expanded, position, end = bytearray(), 0, len(segment)
    while position < end and len(expanded) <= needed:
        control = segment[position]
        if control < 128:
            expanded += segment[position + 1 : position + 2 + control]
            position += 2 + control
        elif control > 128:
            expanded += segment[position + 1 : position + 2] * (257 - control)
            position += 2
        else:
            position += 1
    if len(expanded) != needed:
        raise NotAnalysable("damaged RLE: a segment does not give the image's size")
    return np.frombuffer(expanded, np.uint8)


_JPEG_FAMILIES: tuple[
    tuple[tuple[str, ...], Callable[[bytes], Codestream], Callable[[Codestream], Patterns]], ...
] = (
    (
        (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1),
        pixel_codestream.jpeg,
        _decode_jpeg,
    ),
    ((JPEGLSLossless, JPEGLSNearLossless), pixel_codestream.jpeg_ls, _decode_jpeg_ls),
    (
        (JPEG2000Lossless, JPEG2000, HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K),
        pixel_codestream.jpeg_2000,
        _decode_jpeg_2000,
    ),
)
_HEADERS = {syntax: header for family, header, _ in _JPEG_FAMILIES for syntax in family}
_DECODERS = {syntax: decoder for family, _, decoder in _JPEG_FAMILIES for syntax in family}
