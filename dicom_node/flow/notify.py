"""Who is notified of a finding by HL7 or FHIR."""

from collections.abc import Mapping

from dicom_node.domain.admission import Route
from dicom_node.domain.errors import BadSettings
from dicom_node.domain.exchange.destinations import Receiver
from dicom_node.domain.findings import Findings
from dicom_node.domain.followup import History


def receivers_to_notify(
    route: Route,
    findings: tuple[Findings, ...],
    history: History,
    receivers: Mapping[str, Receiver],
) -> tuple[Receiver, ...]:
    """Choose the receivers of a message about these findings of one image.

    With `urgent_only` only an urgent finding goes out, otherwise every result,
    negatives too; an image that no pipeline read has no result. Who was notified of
    an earlier reading is notified of a later only when it concludes otherwise, and
    then also that a finding is urgent no more. When it goes is the receiver's `release`.
    A repeat gives the same message under the same UID and so no second delivery; a
    patient without identifier is the ORU builder's to refuse. Raises BadSettings for
    a receiver that is not configured.
    """
    worth = any(_worth_telling(answer, urgent_only=route.urgent_only) for answer in findings)
    new = history.not_yet_reported(findings)
    news = any(_worth_telling(answer, urgent_only=route.urgent_only) for answer in new)
    again = news or history.changed(findings)
    if not worth and not again:
        return ()
    unknown = [name for name in route.notify if name not in receivers]
    if unknown:
        raise BadSettings(
            f"route {route.name!r} notifies {unknown[0]!r}, which no [[hl7]] or [[fhir]] names"
        )
    wanted = dict.fromkeys(n for n in route.notify if (again if history.was_notified(n) else worth))
    return tuple(receivers[name] for name in wanted)


def _worth_telling(findings: Findings, *, urgent_only: bool) -> bool:
    if findings.not_analysed is not None:
        return False
    return findings.urgent or not urgent_only
