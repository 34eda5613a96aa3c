"""Data sets encoded by hand, right or wrong."""

import struct

from tests.support.raw_scu import CR

LONG_VRS = (b"OB", b"OW", b"SQ", b"UN", b"UT")

CHEST: dict[int, tuple[bytes, bytes]] = {
    0x00080008: (b"CS", b"ORIGINAL\\PRIMARY"),
    0x00080016: (b"UI", CR.encode()),
    0x00080018: (b"UI", b"1.2.3"),
    0x00080060: (b"CS", b"CR"),
    0x00100010: (b"PN", b"TEST^PATIENT"),
    0x00100020: (b"LO", b"PAT1"),
    0x00180015: (b"CS", b"CHEST"),
    0x00185101: (b"CS", b"PA"),
    0x0020000D: (b"UI", b"1.2"),
    0x0020000E: (b"UI", b"1.2.1"),
    0x00280002: (b"US", b"\x01\x00"),
    0x00280004: (b"CS", b"MONOCHROME2"),
    0x00280010: (b"US", struct.pack("<H", 300)),
    0x00280011: (b"US", struct.pack("<H", 256)),
    0x00280100: (b"US", b"\x08\x00"),
    0x00280101: (b"US", b"\x08\x00"),
    0x7FE00010: (b"OW", bytes(300 * 256)),
}
"""A small frontal chest radiograph: tag to VR and value."""


def explicit(elements: dict[int, tuple[bytes, bytes]]) -> bytes:
    """Encode in explicit VR little endian, sorted by tag, values padded."""
    return b"".join(explicit_element(tag, *elements[tag]) for tag in sorted(elements))


def explicit_element(tag: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
    """Encode one element; `length` may lie."""
    padded = value + (b"\0" if vr in (b"UI", b"OB") else b" ") * (len(value) % 2)
    size = len(padded) if length is None else length
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr)
    return head + (struct.pack("<HL" if vr in LONG_VRS else "<H", *_size(vr, size))) + padded


def _size(vr: bytes, size: int) -> tuple[int, ...]:
    return (0, size) if vr in LONG_VRS else (size,)


def implicit(elements: dict[int, tuple[bytes, bytes]]) -> bytes:
    """Encode in implicit VR little endian."""
    encoded = b""
    for tag in sorted(elements):
        vr, value = elements[tag]
        padded = value + (b"\0" if vr == b"UI" else b" ") * (len(value) % 2)
        encoded += struct.pack("<HHL", tag >> 16, tag & 0xFFFF, len(padded)) + padded
    return encoded


def chest(changes: dict[int, tuple[bytes, bytes] | None] | None = None) -> bytes:
    """Encode CHEST with changes; None removes an element."""
    elements = CHEST | {tag: new for tag, new in (changes or {}).items() if new is not None}
    for tag, new in (changes or {}).items():
        if new is None:
            del elements[tag]
    return explicit(elements)
