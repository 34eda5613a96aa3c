"""Who hears of a finding by HL7."""

from collections.abc import Mapping

from dicom_node.domain.admission import Route
from dicom_node.domain.errors import BadSettings
from dicom_node.domain.findings import Findings
from dicom_node.domain.study import HL7Destination


def notified(
    route: Route, findings: tuple[Findings, ...], receivers: Mapping[str, HL7Destination]
) -> tuple[HL7Destination, ...]:
    """Choose the receivers of an ORU about these findings of one image.

    With `urgent_only` only an urgent finding goes out, otherwise every result,
    negatives too; an image that no pipeline read has no result. When it goes is
    the receiver's `release`. A repeat gives the same message under the same UID
    and so no second delivery; a patient without identifier is the ORU builder's
    to refuse. Raises BadSettings for a receiver that is not configured.
    """
    if not any(_worth_telling(one, urgent_only=route.urgent_only) for one in findings):
        return ()
    unknown = [name for name in route.notify if name not in receivers]
    if unknown:
        raise BadSettings(f"route {route.name!r} notifies {unknown[0]!r}, which no [[hl7]] names")
    return tuple(receivers[name] for name in dict.fromkeys(route.notify))


def _worth_telling(findings: Findings, *, urgent_only: bool) -> bool:
    if findings.not_analysed is not None:
        return False
    return findings.urgent or not urgent_only
