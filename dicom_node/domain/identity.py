"""What findings give an object to say, and the UID that it gets.

A UID is derived from the source, the readings and the kind of object: a repeat gives
the same, so that nothing is filed twice.
"""

from dicom_node.domain.admission import OverlayStyle
from dicom_node.domain.findings import Findings
from dicom_node.domain.regions import region_of
from dicom_node.domain.study import SRClass
from dicom_node.domain.work import ObjectKind, derive_uid

NOT_ANALYSED = "not analysed"


def analysed(findings: tuple[Findings, ...]) -> tuple[Findings, ...]:
    """Give the findings of the pipelines that did read the image."""
    return tuple(answer for answer in findings if answer.not_analysed is None)


def says_something(kind: ObjectKind, findings: tuple[Findings, ...]) -> bool:
    """Whether an object of a kind would say anything of these findings."""
    if kind == "seg":
        return any(region_of(each) is not None for answer in findings for each in answer.findings)
    if kind in ("gsps", "kos"):
        return any(finding.positive for finding in findings)
    if kind == "sc":
        return bool(analysed(findings))
    if kind in ("sr", "oru", "fhir"):
        return any(answer.findings for answer in analysed(findings))
    return True  # a text SR and a PDF also say why nothing was read


def identity(findings: tuple[Findings, ...]) -> tuple[str, ...]:
    """Give what a result's UIDs depend on beside source and kind.

    Sorted, so that the order of the pipelines does not matter; a refusal has
    other UIDs than a reading with the same weights, and the same reading judged at
    another operating point too. The version is there for a new calibration. A reading
    that comes back after another, say that of a model that was rolled back to, is new.
    """
    return tuple(
        sorted(
            "/".join(
                (
                    answer.algorithm.name,
                    answer.algorithm.version,
                    answer.algorithm.model_sha256,
                    NOT_ANALYSED if answer.not_analysed is not None else "",
                    *answer.points,
                    *([f"generation {answer.generation}"] if answer.generation else []),
                )
            )
            for answer in findings
        )
    )


def variant(
    kind: ObjectKind, sr_class: SRClass, references_seg: bool, overlay: OverlayStyle
) -> tuple[str, ...]:
    """Give what tells two variants of one kind apart, for their UIDs."""
    if kind == "sr":
        return sr_class, str(references_seg)
    return (overlay,) if kind == "sc" and overlay != "side_by_side" else ()


def object_uid(
    source_uid: str, findings: tuple[Findings, ...], kind: ObjectKind, *more: str
) -> str:
    """Derive the SOP Instance UID of a result about the instance `source_uid`.

    `more` is the variant of an object, or the receiver of a message.
    """
    return derive_uid(source_uid, *identity(findings), kind, *more)
