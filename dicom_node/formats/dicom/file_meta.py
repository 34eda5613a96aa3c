"""The head of a received file: preamble and File Meta.

Apart from `part10`, whose libraries for results a receiver has no use for.
"""

import struct

from dicom_node.domain.study import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION


def file_head(sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> bytes:
    """Encode what makes a Part 10 file of a data set (PS3.10 7.1).

    It depends on its arguments alone: SourceApplicationEntityTitle (Type 3) is left
    out, so that the same data set from two callers is the same file. UIDs are copied
    as they are, malformed ones too.
    """
    group = b"".join(
        (
            _element(0x0001, b"OB", b"\x00\x01"),
            _element(0x0002, b"UI", _uid(sop_class_uid)),
            _element(0x0003, b"UI", _uid(sop_instance_uid)),
            _element(0x0010, b"UI", _uid(transfer_syntax_uid)),
            _element(0x0012, b"UI", _uid(IMPLEMENTATION_CLASS_UID)),
            _element(0x0013, b"SH", _even(IMPLEMENTATION_VERSION.encode(), b" ")),
        )
    )
    length = _element(0x0000, b"UL", struct.pack("<L", len(group)))
    return bytes(128) + b"DICM" + length + group


def _element(number: int, vr: bytes, value: bytes) -> bytes:
    """Encode an element of group 0002, explicit VR little endian (PS3.5 7.1.2)."""
    if vr == b"OB":
        return struct.pack("<HH2sHL", 2, number, vr, 0, len(value)) + value
    return struct.pack("<HH2sH", 2, number, vr, len(value)) + value


def _uid(uid: str) -> bytes:
    return _even(uid.encode("latin-1", "replace"), b"\0")


def _even(value: bytes, padding: bytes) -> bytes:
    return value + padding * (len(value) % 2)
