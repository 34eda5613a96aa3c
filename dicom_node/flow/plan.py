"""Which objects and messages a claim sends to whom."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from dicom_node.domain.admission import Route
from dicom_node.domain.errors import GiveUp
from dicom_node.domain.exchange.destinations import Receiver
from dicom_node.domain.exchange.substitution import Capabilities, ObjectForm
from dicom_node.domain.findings import Findings
from dicom_node.domain.followup import History, Sent, slot_of
from dicom_node.domain.identity import analysed, object_uid, says_something, variant
from dicom_node.domain.regions import sets_of
from dicom_node.domain.study import HL7Destination, SRClass
from dicom_node.domain.work import (
    Claim,
    Escalation,
    NewDelivery,
    ObjectKind,
    OutputKind,
    Priority,
    Replacement,
)
from dicom_node.flow.infer import PipelineRequest
from dicom_node.flow.notify import receivers_to_notify

SPEAKS_OF_REFUSAL: tuple[OutputKind, ...] = ("sr", "text_sr")
"""The kinds that can say why an image was not analysed."""


@dataclass(frozen=True, slots=True)
class PlannedObject:
    """One object or message to make."""

    uid: str
    """Its SOP Instance UID, or what stands for one in a message."""
    kind: ObjectKind
    findings: tuple[Findings, ...]
    """What it tells of."""
    route: Route
    destination: str
    """For whom it is made; others may get the same."""
    sr_class: SRClass = "comprehensive"
    references_seg: bool = False
    """Whether it may refer to the SEG, because its destination gets that too."""
    before: tuple[Sent, ...] = ()
    """Earlier objects that it replaces."""
    corrected: bool = False
    """A message that takes an earlier one back."""
    slot: str = ""
    """Its place among the image's results, which a later reading's takes over."""


@dataclass(frozen=True, slots=True)
class Destinations:
    """Who gets objects, what of them, and who is notified by a message."""

    takes: Mapping[str, Capabilities]
    """Of each peer and DICOMweb server, by its name."""
    receivers: Mapping[str, Receiver]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to make of one claim, who gets it, and who is notified next; nothing twice."""

    objects: tuple[PlannedObject, ...]
    deliveries: tuple[NewDelivery, ...]
    replaced: tuple[Replacement, ...]
    escalations: tuple[Escalation, ...]


@dataclass(frozen=True, slots=True)
class _Known:
    """What holds for all objects of one claim."""

    source_uid: str
    patient_id: str
    history: History
    destinations: Destinations
    now: float


Step = tuple[PlannedObject, NewDelivery | Escalation, Replacement | None]


def plan(
    claim: Claim,
    findings: Mapping[PipelineRequest, Findings],
    routes: Mapping[str, Route],
    history: History,
    destinations: Destinations,
    now: float,
) -> Plan:
    """Plan the objects of one claim, for every route that wants them.

    The same object for several destinations or routes is made once. Raises
    GiveUp when none of the routes that asked for the reading exists any more.
    """
    instance = claim.arrival.instance
    known = _Known(instance.ref.sop_instance_uid, instance.patient_id, history, destinations, now)
    objects: dict[str, PlannedObject] = {}
    deliveries: dict[tuple[str, str], NewDelivery] = {}
    replaced: dict[Replacement, None] = {}
    escalations: dict[tuple[str, str], Escalation] = {}
    for route, asked in _by_route(claim, findings, routes):
        for planned, sent, instead in _route(route, asked, known):
            objects.setdefault(planned.uid, planned)
            if isinstance(sent, Escalation):
                escalations.setdefault((sent.instead_of, sent.destination), sent)
            else:
                deliveries.setdefault((sent.sop_instance_uid, sent.destination), sent)
            if instead is not None:
                replaced.setdefault(instead)
    return Plan(
        tuple(objects.values()),
        tuple(deliveries.values()),
        tuple(replaced),
        tuple(escalations.values()),
    )


def _by_route(
    claim: Claim, findings: Mapping[PipelineRequest, Findings], routes: Mapping[str, Route]
) -> Iterator[tuple[Route, tuple[Findings, ...]]]:
    names = dict.fromkeys(name for job in claim.jobs for name in job.routes)
    known = [routes[name] for name in names if name in routes]
    if not known:
        raise GiveUp(f"route {', '.join(names)} is no longer in the configuration")
    for route in known:
        asked = (job.pipeline for job in claim.jobs if route.name in job.routes)
        yield route, tuple(findings[PipelineRequest(name, route.choice)] for name in asked)


def _route(route: Route, findings: tuple[Findings, ...], known: _Known) -> Iterator[Step]:
    """Plan what one route gives its destinations.

    A message tells of all findings, however the objects are combined.
    """
    for part in (findings,) if route.combine else ((answer,) for answer in findings):
        for name in route.send_to:
            yield from _objects(route, part, name, known)
    yield from _messages(route, findings, known)


def _objects(
    route: Route, findings: tuple[Findings, ...], destination: str, known: _Known
) -> Iterator[Step]:
    """Plan one set of objects for one destination."""
    takes, history = known.destinations.takes[destination], known.history
    blank = PlannedObject("", "sr", findings, route, destination)
    blank = replace(blank, references_seg=_may_refer_to_seg(blank, known))
    new: set[str] = set()
    read = bool(analysed(findings))
    for kind in route.outputs if read else _refusal_kinds(route):
        for part in sets_of(kind, findings):
            slot = slot_of(route.name, kind, _names(part))
            before = history.predecessor(slot, destination)
            planned, instead = _plan_object(
                kind, part, replace(blank, slot=slot, before=before), known
            )
            if planned is not None:
                new.add(planned.uid)
                priority = _priority(route, findings)
                sent = NewDelivery(planned.uid, destination, takes.protocol, priority)
                yield planned, sent, instead
    old = history.superseded(route.name, _names(findings), destination)
    # nothing is rejected where nothing was replaced, or by the same reading again
    if takes.wants_rejection and new and old and not new & {s.ref.sop_instance_uid for s in old}:
        uid = object_uid(known.source_uid, findings, "rejection")
        slot = slot_of(route.name, "rejection", _names(findings))
        note = replace(blank, uid=uid, kind="rejection", before=old, slot=slot)
        # once the new set has arrived
        sent = NewDelivery(uid, destination, takes.protocol, "routine", after_objects=True)
        yield note, sent, None


def _may_refer_to_seg(blank: PlannedObject, known: _Known) -> bool:
    """Whether objects may refer to the SEG: their destination takes that.

    A report that was sent with the reference before the SEG was refused stays as it is.
    """
    outputs, destination = blank.route.outputs, blank.destination
    if "seg" not in outputs:
        return False
    if "sr" not in outputs or known.destinations.takes[destination].form("seg").kind == "seg":
        return True
    sent = {s.ref.sop_instance_uid for s in known.history.sent if s.destination == destination}
    referring, _ = _plan_object("sr", blank.findings, replace(blank, references_seg=True), known)
    return referring is not None and referring.uid in sent


def _plan_object(
    kind: OutputKind, part: tuple[Findings, ...], blank: PlannedObject, known: _Known
) -> tuple[PlannedObject | None, Replacement | None]:
    """Plan the object that a route asks for, or what its destination takes instead.

    The former tells of `part` of the findings, the latter of all.
    """
    takes, source_uid = known.destinations.takes[blank.destination], known.source_uid
    wanted, taken = takes.wanted(kind), takes.form(kind)
    planned = _plan_in_form(wanted, part, blank, source_uid)
    if planned is None or wanted == taken:
        return planned, None
    planned = _plan_in_form(taken, blank.findings, blank, source_uid)
    sent = "nothing" if planned is None else str(taken)
    reason = f"the peer does not accept {wanted.sop_class_uid}"
    return planned, Replacement(blank.destination, str(wanted), sent, reason)


def _plan_in_form(
    form: ObjectForm, findings: tuple[Findings, ...], blank: PlannedObject, source_uid: str
) -> PlannedObject | None:
    """Plan an object in one form; None where it has nothing to say."""
    # TID 1500 needs a finding; without one its place is taken by a report in words
    kind = "text_sr" if form.kind == "sr" and not says_something("sr", findings) else form.kind
    if not says_something(kind, findings):
        return None
    more = variant(kind, form.sr_class, blank.references_seg, blank.route.overlay)
    uid = object_uid(source_uid, findings, kind, *more)
    return replace(blank, uid=uid, kind=kind, findings=findings, sr_class=form.sr_class)


def _messages(route: Route, findings: tuple[Findings, ...], known: _Known) -> Iterator[Step]:
    """Plan a message for each receiver to notify, and the escalations of it."""
    history, receivers = known.history, known.destinations.receivers
    for receiver in receivers_to_notify(route, findings, history, receivers):
        message = _message(receiver, route, findings, known)
        if message is None:
            continue
        slot = slot_of(route.name, message.kind, ())
        corrected = history.was_notified(receiver.name) and history.changed(findings)
        sent = NewDelivery(
            message.uid,
            receiver.name,
            "mllp" if message.kind == "oru" else "fhir",
            _priority(route, findings),
            after_objects=receiver.release == "after_objects",
        )
        yield replace(message, slot=slot, corrected=corrected), sent, None
        if isinstance(receiver, HL7Destination) and any(answer.urgent for answer in findings):
            # they wait from the finding's commit on, also while the message waits for the PACS
            for place, name in enumerate(receiver.escalation, start=1):
                escalated = _message(receivers[name], route, findings, known)
                if escalated is not None:
                    due_at = known.now + place * receiver.escalate_after_s
                    yield (
                        escalated,
                        Escalation(escalated.uid, name, message.uid, place, due_at),
                        None,
                    )


def _message(
    receiver: Receiver, route: Route, findings: tuple[Findings, ...], known: _Known
) -> PlannedObject | None:
    """Plan the message for one receiver; None where there is nobody or nothing to tell of."""
    kind, more = _message_kind(receiver)
    nobody = not known.patient_id and not receiver.allow_empty_patient_id
    if nobody or not says_something(kind, findings):
        return None
    uid = object_uid(known.source_uid, analysed(findings), kind, *more)
    return PlannedObject(uid, kind, findings, route, receiver.name)


def _message_kind(receiver: Receiver) -> tuple[ObjectKind, tuple[str, ...]]:
    """Give the kind of a receiver's messages, and what tells them from another's."""
    if isinstance(receiver, HL7Destination):
        return "oru", (receiver.name, receiver.charset)
    return "fhir", (receiver.name,)


def _names(findings: tuple[Findings, ...]) -> tuple[str, ...]:
    return tuple(answer.algorithm.name for answer in findings)


def _priority(route: Route, findings: tuple[Findings, ...]) -> Priority:
    return "urgent" if any(answer.urgent for answer in findings) else route.priority


def _refusal_kinds(route: Route) -> tuple[OutputKind, ...]:
    if not route.report_not_analysed:
        return ()
    wanted = tuple(kind for kind in route.outputs if kind in SPEAKS_OF_REFUSAL)
    return wanted or ("text_sr",)
