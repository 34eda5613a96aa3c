"""Who hears of a finding by HL7 or FHIR."""

from collections.abc import Callable, Iterator, Mapping

from dicom_node.domain.admission import Route
from dicom_node.domain.errors import BadSettings
from dicom_node.domain.exchange.destinations import Receiver
from dicom_node.domain.findings import Findings
from dicom_node.domain.followup import History
from dicom_node.domain.study import HL7Destination
from dicom_node.domain.work import Escalation, ReportObject


def notified(
    route: Route,
    findings: tuple[Findings, ...],
    history: History,
    receivers: Mapping[str, Receiver],
) -> tuple[Receiver, ...]:
    """Choose the receivers of a message about these findings of one image.

    With `urgent_only` only an urgent finding goes out, otherwise every result,
    negatives too; an image that no pipeline read has no result. Who heard of an
    earlier reading hears of a later one only when it concludes otherwise, and then
    also that a finding is urgent no more. When it goes is the receiver's `release`.
    A repeat gives the same message under the same UID and so no second delivery; a
    patient without identifier is the ORU builder's to refuse. Raises BadSettings for
    a receiver that is not configured.
    """
    worth = any(_worth_telling(one, urgent_only=route.urgent_only) for one in findings)
    new = history.unheard(findings)
    news = any(_worth_telling(one, urgent_only=route.urgent_only) for one in new)
    again = news or history.changed(findings)
    if not worth and not again:
        return ()
    unknown = [name for name in route.notify if name not in receivers]
    if unknown:
        raise BadSettings(
            f"route {route.name!r} notifies {unknown[0]!r}, which no [[hl7]] or [[fhir]] names"
        )
    wanted = dict.fromkeys(n for n in route.notify if (again if history.told(n) else worth))
    return tuple(receivers[name] for name in wanted)


def _worth_telling(findings: Findings, *, urgent_only: bool) -> bool:
    if findings.not_analysed is not None:
        return False
    return findings.urgent or not urgent_only


def escalations_for(
    message: ReportObject,
    receiver: HL7Destination,
    build: Callable[[str], ReportObject | None],
    now: float,
) -> Iterator[tuple[ReportObject, Escalation]]:
    """Make the messages for those who hear when `receiver` does not acknowledge.

    `build` makes one for a named receiver, in its own dialect. They wait from the
    finding's commit on, also while the message itself waits for the PACS.
    """
    for place, name in enumerate(receiver.escalation, start=1):
        made = build(name)
        if made is not None:
            due_at = now + place * receiver.escalate_after_s
            uid = made.sop_instance_uid
            yield made, Escalation(uid, name, message.sop_instance_uid, place, due_at)
