"""Sound inputs that the fuzzers start from."""

import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.uid import (
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSNearLossless,
)

from dicom_node.network.dimse.options import IMAGE_SYNTAXES
from dicom_node.network.dimse.scp import SERVED
from dicom_node.network.dimse.upper_layer.negotiation import negotiate
from dicom_node.network.dimse.upper_layer.pdu import (
    Role,
    UserInformation,
    decode_request,
    encode_accept,
)
from docs.scripts.reference import commented_file
from tests.support.encoded import CHEST, chest, implicit
from tests.support.order_messages import PID, adt, message, msh, orm
from tests.support.paths import SHARED
from tests.support.pixel_files import (
    BY_GDCM,
    BY_PYDICOM,
    baseline,
    compress,
    dataset,
    film,
    lut,
    save,
)
from tests.support.raw_scu import (
    CR,
    EXPLICIT,
    IMPLICIT,
    P_DATA,
    VERIFICATION,
    associate_rq,
    command_set,
    pdu,
    pdv,
    uid,
    us,
)
from tests.support.stow_callers import BOUNDARY, TYPE, image, multipart

__all__ = ["BOUNDARY"]
NATIVE = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
)
OPTIONS: dict[UID, dict[str, int | list[int]]] = {
    JPEG2000: {"j2k_cr": [10]},
    JPEGLSNearLossless: {"jls_error": 2},
}
LARGEST_SHARED = 300_000
"""Bytes; larger files only make the fuzzers slow."""


@cache
def made_files() -> tuple[bytes, ...]:
    """A film as Part 10 file in every transfer syntax that can be encoded here."""
    samples = film(bits=8, rows=256, columns=256) >> 3 << 3  # quiet, so small when coded
    written = []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        sound = dataset(samples, WindowCenter="128", WindowWidth="200")
        sound.VOILUTSequence = lut(list(range(0, 65536, 256)), 0, 16)
        for syntax in NATIVE:
            ds = dataset(samples, WindowCenter="128", WindowWidth="200", RescaleSlope="1")
            ds.file_meta.TransferSyntaxUID = syntax
            written.append(save(ds, place / "one.dcm").read_bytes())
        written.append(save(sound, place / "one.dcm").read_bytes())
        written.append(save(baseline(samples), place / "one.dcm").read_bytes())
        written.append(save(baseline(samples, progressive=True), place / "one.dcm").read_bytes())
        wide = samples.astype(np.uint16) << 4
        for syntax in (*BY_PYDICOM, *BY_GDCM):
            for one, bits in ((samples, 8), (wide, 12)):
                ds = compress(dataset(one, bits), syntax, place, **OPTIONS.get(syntax, {}))
                written.append(save(ds, place / "one.dcm").read_bytes())
    return tuple(written)


@cache
def files() -> tuple[bytes, ...]:
    """Part 10 files: those made here, and small real ones."""
    shared = sorted((SHARED / "data" / "dicom").glob("*.dcm"))
    small = [one.read_bytes() for one in shared if one.stat().st_size < LARGEST_SHARED]
    return (*made_files(), *small)


@cache
def data_sets() -> tuple[bytes, ...]:
    """Data sets after a byte that chooses the transfer syntax."""
    found = [
        _chosen(ExplicitVRLittleEndian, chest()),
        _chosen(ImplicitVRLittleEndian, implicit(CHEST)),
    ]
    for content in files():
        end = 144 + int.from_bytes(content[140:144], "little")
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            meta = dcmread(file.name, stop_before_pixels=True, force=True).file_meta
        syntax = str(meta.get("TransferSyntaxUID", ExplicitVRLittleEndian))
        if syntax in IMAGE_SYNTAXES:
            found.append(_chosen(syntax, content[end : end + 8192]))
    return tuple(found)


def _chosen(syntax: str, content: bytes) -> bytes:
    return bytes([[str(one) for one in IMAGE_SYNTAXES].index(syntax)]) + content


@cache
def associations() -> tuple[bytes, ...]:
    """Whole associations of an acceptor; "CUT!" stands where bytes come apart."""
    echo = command_set(
        {0x0002: uid("1.2.840.10008.1.1"), 0x0100: us(0x30), 0x0110: us(1), 0x0800: us(0x101)}
    )
    store = command_set(
        {
            0x0002: uid(CR),
            0x0100: us(1),
            0x0110: us(7),
            0x0700: us(0),
            0x0800: us(0),
            0x1000: uid("1.2.3"),
        }
    )
    request = associate_rq(((CR, (EXPLICIT, IMPLICIT)), (VERIFICATION, ())), b"XRAY1", b"CXRAI")
    values = (
        pdu(P_DATA, pdv(3, 3, echo)),
        pdu(P_DATA, pdv(1, 3, store)) + b"CUT!" + pdu(P_DATA, pdv(1, 0, b"x") + pdv(1, 2, b"more")),
        pdu(P_DATA, pdv(1, 1, store[:20]) + pdv(1, 3, store[20:])) + pdu(P_DATA, pdv(1, 2, b"c")),
    )
    return tuple(request + value + pdu(5, bytes(4)) for value in values)


@cache
def accepts() -> tuple[bytes, ...]:
    """What peers answer to an association request, without the head of the PDU."""
    asked = associate_rq(((CR, (EXPLICIT,)), (VERIFICATION, (IMPLICIT,))), b"XRAY1", b"CXRAI")
    request = decode_request(asked[6:])
    ours = UserInformation(16384, "1.2.3", "PEER", (Role(CR, scu=False, scp=True),))
    accept, _ = negotiate(request, SERVED, ours)
    return (encode_accept(accept)[6:], encode_accept(replace(accept, user=ours))[6:])


@cache
def acknowledgements() -> tuple[bytes, ...]:
    """What HL7 receivers answer."""
    texts = (
        "MSH|^~\\&|RIS|HOSP|CXRAI||20261121||ACK^R01|1|P|2.5.1\rMSA|AA|M1\r",
        "MSH|^~\\&|RIS|HOSP|CXRAI||20261121||ACK|1|P|2.3\rMSA|AE|M1|no such patient\rERR|||207|E\r",
    )
    return tuple(b"\x0b" + one.encode() + b"\x1c\r" for one in texts)


@cache
def orders() -> tuple[bytes, ...]:
    """Messages of order systems."""
    return (
        orm(),
        adt("A08", PID),
        adt("A40", PID, "MRG|P2^^^HOSP^MR"),
        message(msh("OMI^O23"), PID, "ORC|NW|PL1|FI1", "TQ1|1||||||||S", "IPC|A1|1|1.2.3|1|CR"),
    )


@cache
def bodies() -> tuple[bytes, ...]:
    """Multipart bodies, whole and in chunks."""
    whole = multipart([image("1.2.3")[:2000], image("1.2.4")[:500]])
    return (whole, b"preamble" + whole, f"{len(whole):x}\r\n".encode() + whole + b"\r\n0\r\n\r\n")


@cache
def heads() -> tuple[bytes, ...]:
    """Paths and headers."""
    usual = f"Content-Type: {TYPE}\nAccept: application/dicom+json\nContent-Length: 100\n"
    return (
        f"/studies\n{usual}".encode(),
        f"/studies/1.2.3?x=1\n{usual}Authorization: Bearer abc\n".encode(),
        f"http://host/studies/\nContent-Type: {TYPE}\nTransfer-Encoding: chunked\n".encode(),
    )


@cache
def configurations() -> tuple[bytes, ...]:
    """The commented file, and a bare one."""
    whole = commented_file().encode()
    bare = b"".join(one.partition(b"#")[0].rstrip() + b"\n" for one in whole.splitlines())
    return (whole, bare, b'[node]\nport = 104\n[[peers]]\nname = "a"\nae_title = "A"\n')
