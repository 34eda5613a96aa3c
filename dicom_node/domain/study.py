"""What arrives: peers, instances and radiographs."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from dicom_node.domain.findings import CodedConcept
from dicom_node.domain.operations.tls import pinned

if TYPE_CHECKING:  # whoever reads settings needs no numpy
    import numpy as np
    from numpy.typing import NDArray

NODE_MODEL = "dicom-node"
"""ManufacturerModelName of everything that a node of this kind makes."""
IMPLEMENTATION_CLASS_UID = "2.25.331851758267164677234959313766442856987"
"""Who wrote a file or opened an association (PS3.7 D.3.3.2, PS3.10 7.1)."""
IMPLEMENTATION_VERSION = "DICOM-NODE"
"""Without a number: the File Meta of a stored file, so its SHA-256, must not change."""

SRClass = Literal["comprehensive", "comprehensive3d", "enhanced"]
HL7Version = Literal["2.3.1", "2.4", "2.5", "2.5.1"]
HL7Segment = Literal["PID", "PV1", "ORC", "OBR", "OBX", "NTE", "ZDS"]


class AETitle(str):
    """An application entity title (PS3.5 6.2, VR AE).

    One to 16 characters of the default repertoire, no backslash, no control
    characters; leading and trailing spaces carry no meaning and are dropped.
    Raises ValueError for anything else.
    """

    def __new__(cls, text: str) -> "AETitle":
        """Validate `text`."""
        title = text.strip(" ")
        if not 1 <= len(title) <= 16:
            raise ValueError(f"AE title {text!r} must have 1 to 16 characters")
        if any(not " " <= character <= "~" or character == "\\" for character in title):
            raise ValueError(f"AE title {text!r} has a character outside printable ASCII, or a \\")
        return super().__new__(cls, title)


@dataclass(frozen=True, slots=True)
class Peer:
    """A DICOM application entity that the node knows.

    An empty `host` means that the peer may call from any address; then it can
    send but not receive.
    """

    name: str
    ae_title: str
    host: str = ""
    port: int = 0
    may_send: bool = True
    sr_class: SRClass = "comprehensive"
    reject_replaced: bool = False
    """Send a rejection note (IHE IOCM) for results that later ones replace."""
    storage_commitment: bool = False
    """Ask it to commit to what it took (PS3.4 annex J)."""
    commit_timeout_s: float = 3600.0
    """For its report, before it is asked once more."""
    tls: bool = False
    """It is called over TLS, and served over TLS alone."""
    tls_fingerprint: str = ""
    """The SHA-256 of its certificate, which then stands for name and authority."""

    def __post_init__(self) -> None:
        """Hold title and fingerprint in one form; raises ValueError."""
        object.__setattr__(self, "ae_title", AETitle(self.ae_title))
        object.__setattr__(self, "tls_fingerprint", pinned(self.tls, self.tls_fingerprint))


@dataclass(frozen=True, slots=True)
class HL7Destination:
    """A receiver of HL7 v2 messages over MLLP."""

    name: str
    host: str
    port: int
    receiving_application: str = ""
    receiving_facility: str = ""
    charset: str = "UNICODE UTF-8"
    """A name of HL7 table 0211 for MSH-18."""
    allow_empty_patient_id: bool = False
    release: Literal["at_once", "after_objects"] = "at_once"
    """Send with the finding's commit, or wait until the PACS has the objects."""
    version: HL7Version = "2.5.1"
    segments: tuple[HL7Segment, ...] = ("PID", "PV1", "ORC", "OBR", "OBX", "NTE")
    """What the receiver takes beside MSH."""
    codes: Mapping[str, CodedConcept] = field(default_factory=dict, hash=False)
    """The receiver's own codes for OBX-3 and OBR-4, by the value of ours."""
    zds: bool = False
    """Send the study's UID in a ZDS segment (IHE SWF)."""
    embed_pdf: bool = False
    """Send the PDF report in an OBX (ED, Base64)."""
    escalation: tuple[str, ...] = ()
    """Who is notified of an urgent finding, one after the other, until one acknowledges."""
    escalate_after_s: float = 300.0
    """The pause before the first and between two of `escalation`."""
    tls: bool = False
    tls_fingerprint: str = ""
    """The SHA-256 of its certificate, which then stands for name and authority."""
    any_control_id: bool = False
    """Take an acknowledgement whose MSA-2 names another message than ours."""

    def __post_init__(self) -> None:
        """Hold the fingerprint in one form; raises ValueError."""
        object.__setattr__(self, "tls_fingerprint", pinned(self.tls, self.tls_fingerprint))


@dataclass(frozen=True, slots=True)
class InstanceRef:
    """A reference to one SOP instance (PS3.3 10.8)."""

    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class Orientation:
    """PatientOrientation (0020,0020): directions of a row and of a column.

    `row` says where the columns lead to (left to right on the image), `column`
    where the rows lead to (top to bottom). The standard radiograph is ("L", "F").
    """

    row: str
    column: str

    @property
    def shows_sides(self) -> bool:
        """Whether a left-right axis lies in the image."""
        return self.row[:1] in ("L", "R") or self.column[:1] in ("L", "R")

    def to_standard(self, image: "NDArray[np.generic]") -> "NDArray[np.generic]":
        r"""View `image` (rows, columns) as if it were stored as L\F.

        Axes that the orientation does not name as L/R or H/F stay as they are.
        """
        if self.row[:1] in ("H", "F") and self.column[:1] in ("L", "R"):
            return Orientation(self.column, self.row).to_standard(image.T)
        if self.row[:1] == "R":
            image = image[:, ::-1]
        if self.column[:1] == "H":
            image = image[::-1, :]
        return image

    def from_standard(self, image: "NDArray[np.generic]") -> "NDArray[np.generic]":
        """Undo `to_standard`: back to stored pixel order."""
        if self.row[:1] in ("H", "F") and self.column[:1] in ("L", "R"):
            return Orientation(self.column, self.row).from_standard(image).T
        return self.to_standard(image)  # flips are their own inverse

    def point_from_standard(
        self, point: tuple[float, float], stored_shape: tuple[int, int]
    ) -> tuple[float, float]:
        """Map a standard (row, column) back to the stored image.

        Coordinates are those of SCOORD: the first pixel's centre is (0.5, 0.5).
        `stored_shape` is (rows, columns) of the stored image.
        """
        if self.row[:1] in ("H", "F") and self.column[:1] in ("L", "R"):
            rows, columns = stored_shape
            row, column = Orientation(self.column, self.row).point_from_standard(
                point, (columns, rows)
            )
            return column, row
        row, column = point
        if self.row[:1] == "R":
            column = stored_shape[1] - column
        if self.column[:1] == "H":
            row = stored_shape[0] - row
        return row, column


@dataclass(frozen=True, slots=True)
class Spacing:
    """Pixel spacing in mm and where it is measured.

    `plane` is "patient" for a calibrated PixelSpacing (0028,0030) or for an
    ImagerPixelSpacing corrected by EstimatedRadiographicMagnificationFactor,
    "detector" for a bare ImagerPixelSpacing (0018,1164).
    """

    row_mm: float
    column_mm: float
    plane: Literal["patient", "detector"] = "patient"


@dataclass(frozen=True, slots=True)
class Instance:
    """The header facts of one received instance that rules look at.

    Text is stripped; a missing attribute is an empty string, a missing number 0.
    """

    ref: InstanceRef
    study_uid: str
    series_uid: str
    transfer_syntax_uid: str
    patient_id: str = ""
    accession_number: str = ""
    modality: str = ""
    body_part: str = ""
    view_position: str = ""
    photometric: str = ""
    rows: int = 0
    columns: int = 0
    samples_per_pixel: int = 1
    frames: int = 1
    bits_stored: int = 0
    burned_in: bool = False
    orientation: Orientation | None = None
    made_by_node: bool = False
    """An object that a node of this kind made: never analysed (loop protection)."""
    deviations: tuple[str, ...] = ()
    """What is wrong with the header but harmless, in words, for the log."""


@dataclass(frozen=True, slots=True)
class Radiograph:
    """One radiograph, ready to be read.

    `pixels` is float32 (rows, columns) in 0..1 as a viewer shows it by default
    (modality and VOI transformations applied, MONOCHROME1 inverted, so that air
    is dark), in stored pixel order.
    """

    pixels: "NDArray[np.float32]"
    ref: InstanceRef
    spacing: Spacing | None = None
    orientation: Orientation | None = None
    view_position: str = ""
    notes: tuple[str, ...] = ()
    """What a reader of the result should know: AP view, no calibration, ..."""
    answers: dict[Hashable, Any] = field(
        init=False, default_factory=dict, compare=False, repr=False
    )
    """What networks said of this film, by network: tasks on one network run it once."""
