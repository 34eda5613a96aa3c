"""What all result objects share: identity, header, context."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import NamedTuple

from highdicom import AlgorithmIdentificationSequence, ContributingEquipment
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from dicom_node.domain import codes, identity
from dicom_node.domain.admission import OverlayStyle
from dicom_node.domain.findings import Algorithm, Finding, Findings
from dicom_node.domain.followup import Sent
from dicom_node.domain.study import NODE_MODEL, Radiograph, SRClass
from dicom_node.domain.work import ObjectKind, ReportObject, derive_uid
from dicom_node.formats.dicom import header
from dicom_node.formats.dicom.attributes import text
from dicom_node.formats.dicom.part10 import part10
from dicom_node.formats.dicom.values import add, clipped, coded, da, item, reference, tm

SERIES_NUMBERS: Mapping[ObjectKind, int] = {
    "seg": 9001,
    "sr": 9002,
    "sc": 9003,
    "text_sr": 9004,
    "gsps": 9005,
    "kos": 9006,
    "pdf": 9007,
    "rejection": 9008,
}
UNVERIFIED = "Preliminary result of an algorithm, not verified by a physician."
NOT_FOR_DIAGNOSIS = "AI - NOT FOR DIAGNOSTIC USE"


@dataclass(frozen=True, slots=True)
class ReportContext:
    """What a result says beside findings: who made it, when and for whom.

    `made_at` is POSIX seconds; it is written in the source's time zone, else in
    `zone`, else in the machine's.
    """

    made_at: float
    node_version: str
    ae_title: str = "CXRAI"
    institution: str = ""
    sr_class: SRClass = "comprehensive"
    series_numbers: Mapping[ObjectKind, int] = field(default_factory=lambda: SERIES_NUMBERS)
    references_seg: bool = True
    """Whether the SR, GSPS and KOS may refer to the SEG, because it is sent too."""
    zone: tzinfo | None = None
    overlay: OverlayStyle = "side_by_side"
    before: tuple[Sent, ...] = ()
    """Earlier objects that this one replaces."""


class ExaminedImage(NamedTuple):
    """What a result is about."""

    source: Dataset
    """The image's header."""
    radiograph: Radiograph | None
    """None where its pixels cannot be read."""
    findings: tuple[Findings, ...]


Builder = Callable[[ExaminedImage, ReportContext], ReportObject | None]


def object_uid(
    source: Dataset, findings: tuple[Findings, ...], kind: ObjectKind, *more: str
) -> str:
    """Derive a result's SOP Instance UID; a repeat gives the same."""
    return identity.object_uid(header.ref_of(source).sop_instance_uid, findings, kind, *more)


def series_uid(source: Dataset, findings: tuple[Findings, ...], kind: str, *more: str) -> str:
    """Derive the UID of the series that a result belongs to."""
    origin = text(source, "SeriesInstanceUID")
    return derive_uid("series", origin, *identity.identity(findings), kind, *more)


def tracking(source: Dataset, findings: Findings, index: int) -> tuple[str, str]:
    """Give Tracking Identifier and UID of one finding, the same in all objects."""
    finding = findings.findings[index]
    digest = findings.algorithm.model_sha256
    name = findings.algorithm.name
    uid = derive_uid(
        "tracking", text(source, "SOPInstanceUID"), name, digest, finding.code.value, str(index)
    )
    return clipped(f"{finding.code.meaning} {index + 1} ({name})"), uid


def device_uid(*algorithms: Algorithm) -> str:
    """Derive the UID of a device: new weights are a new device (IHE AIR)."""
    return derive_uid(
        "device", *sorted(f"{algorithm.name}/{algorithm.model_sha256}" for algorithm in algorithms)
    )


def local_time(source: Dataset, context: ReportContext) -> datetime:
    """Say when the result was made, in the time zone of the source."""
    zone = header.utc_offset(source) or context.zone
    return datetime.fromtimestamp(context.made_at, zone)


def new_object(
    sop_class_uid: str, kind: ObjectKind, examined: ExaminedImage, context: ReportContext
) -> Dataset:
    """Start a result with its identity, series, equipment and time.

    Patient and study come in when it is written (`write_object`).
    """
    source, findings = examined.source, examined.findings
    more = identity.variant(kind, context.sr_class, context.references_seg, context.overlay)
    made = local_time(source, context)
    return item(
        SOPClassUID=sop_class_uid,
        SOPInstanceUID=object_uid(source, findings, kind, *more),
        SeriesInstanceUID=series_uid(source, findings, kind, *more),
        SeriesNumber=context.series_numbers[kind],
        InstanceNumber=header.instance_number(source),
        InstanceCreationDate=da(made),
        InstanceCreationTime=tm(made),
        ContentDate=da(made),
        ContentTime=tm(made),
        Manufacturer=NODE_MODEL,
        ManufacturerModelName=NODE_MODEL,
        InstitutionName=clipped(context.institution) or None,
        StationName=clipped(context.ae_title, 16),
        DeviceSerialNumber=clipped(context.ae_title),
        SoftwareVersions=clipped(context.node_version),
        ContributingEquipmentSequence=list(_contributors(findings, context, made)),
    )


def _contributors(
    findings: tuple[Findings, ...], context: ReportContext, made: datetime
) -> Iterator[Dataset]:
    """Name the node and the algorithms with their weights (PS3.3 C.12.1, IHE AIR).

    The node is named here too, for an archive may replace the equipment above,
    and the node knows its own results by it.
    """
    node = Algorithm(NODE_MODEL, context.node_version, "")
    for algorithm in (node, *(each.algorithm for each in findings)):
        weights = algorithm.model_sha256
        equipment = ContributingEquipment(
            NODE_MODEL,
            coded(codes.PROCESSING_EQUIPMENT),
            manufacturer_model_name=clipped(algorithm.name),
            software_versions=clipped(algorithm.version),
            contribution_datetime=f"{da(made)}{tm(made)}",
            contribution_description=f"Weights SHA-256 {weights}" if weights else None,
        )
        yield add(equipment, DeviceUID=device_uid(algorithm))


def write_object(
    ds: Dataset, kind: ObjectKind, source: Dataset, also: tuple[str, ...] = ()
) -> ReportObject:
    """Write the object; attributes named in `also` are copied from the source."""
    return ReportObject(
        kind=kind,
        sop_class_uid=str(ds.SOPClassUID),
        sop_instance_uid=str(ds.SOPInstanceUID),
        series_uid=str(ds.SeriesInstanceUID),
        content=part10(ds, source, also),
    )


def add_lossy(ds: Dataset, source: Dataset) -> None:
    """Carry the source's loss on (PS3.3 C.7.6.1.1.5): once lossy, always lossy."""
    loss = header.lossy(source)
    add(ds, LossyImageCompression="00" if loss is None else "01")
    for keyword, value in zip(
        ("LossyImageCompressionMethod", "LossyImageCompressionRatio"), loss or (), strict=False
    ):
        if value:
            add(ds, **{keyword: value.split("\\")})


def source_image(source: Dataset) -> Dataset:
    """Refer to the source as the image that was processed (CID 7202)."""
    ref = header.ref_of(source)
    return add(
        reference(ref.sop_class_uid, ref.sop_instance_uid),
        PurposeOfReferenceCodeSequence=coded(codes.SOURCE_IMAGE_FOR_PROCESSING),
    )


def body_part(source: Dataset) -> tuple[tuple[str, ...], dict[str, str | None]]:
    """Choose BodyPartExamined and Laterality for a series that is no SEG or SR.

    Gives the keywords to copy and the attributes to set. Without a body part an
    empty Laterality is required (2C, PS3.3 C.7.3.1); an empty one beside a body
    part that is not paired is forbidden, so only a value is copied.
    """
    if not text(source, "BodyPartExamined"):
        return (), {"Laterality": text(source, "Laterality") or None}
    if text(source, "Laterality"):
        return ("BodyPartExamined", "Laterality"), {}
    return ("BodyPartExamined",), {}


def algorithm_identified(algorithm: Algorithm, finding: Finding) -> Sequence:
    """Identify the algorithm and how it judged (PS3.3 10.16).

    The parameters are written as name=value, separated by commas.
    """
    point = finding.operating_point
    bound = "" if point.measured else "at least "
    identified: Sequence = AlgorithmIdentificationSequence(
        clipped(algorithm.name),
        coded(codes.ARTIFICIAL_INTELLIGENCE),
        clipped(algorithm.version),
        parameters={
            "operating point": point.name,
            "threshold": f"{point.threshold:.3g}",
            "sensitivity": f"{bound}{point.sensitivity:.3f}",
            "specificity": f"{bound}{point.specificity:.3f}",
            "weights SHA-256": algorithm.model_sha256,
        },
    )
    return identified


def operating_point(finding: Finding) -> str:
    """Describe the operating point in words."""
    point = finding.operating_point
    if not point.measured:
        return (
            f"operating point of this site, threshold {point.threshold:.3g}, sensitivity at "
            f"least {point.sensitivity:.3f}, specificity at least {point.specificity:.3f}"
        )
    return (
        f"operating point {point.name}, threshold {point.threshold:.3g}, "
        f"sensitivity {point.sensitivity:.3f}, specificity {point.specificity:.3f}"
    )
