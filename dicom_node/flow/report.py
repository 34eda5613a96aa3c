"""Findings become objects, and objects get destinations."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import structlog

from dicom_node.domain.admission import Route
from dicom_node.domain.errors import GiveUp
from dicom_node.domain.exchange.destinations import FhirDestination, Receiver
from dicom_node.domain.exchange.substitution import ObjectForm
from dicom_node.domain.findings import Findings
from dicom_node.domain.followup import History, Sent, slot_of
from dicom_node.domain.pipeline import Archive
from dicom_node.domain.regions import sets_of
from dicom_node.domain.study import HL7Destination
from dicom_node.domain.work import (
    Claim,
    Escalation,
    NewDelivery,
    ObjectKind,
    Outcome,
    OutputKind,
    Priority,
    Protocol,
    Replacement,
    ReportObject,
    StoredFile,
)
from dicom_node.flow.infer import PipelineRequest, Reading
from dicom_node.flow.notify import escalations_for

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Address:
    """For whom an object is made, and what it takes the place of."""

    route: Route
    destination: str
    form: ObjectForm | None = None
    """In which form; None for a message."""
    before: tuple[Sent, ...] = ()
    """Earlier objects that this one replaces."""
    corrected: bool = False
    """A message that takes an earlier one back."""
    with_seg: bool = True
    """Whether the destination takes the SEG, so that others may refer to it."""


Build = Callable[[ObjectKind, Address, Reading, float], ReportObject | None]
"""Make one kind of object for a destination; None: nothing to say."""
Notified = Callable[[Route, tuple[Findings, ...], History], tuple[Receiver, ...]]
"""Who hears of these findings by a message."""


@dataclass(frozen=True, slots=True)
class ReportingContext:
    """What reporting needs."""

    routes: Mapping[str, Route]
    build: Build
    notified: Notified
    choose: Callable[[OutputKind, str], tuple[ObjectForm, ObjectForm]]
    """The wanted form of a kind for a destination, and the one that it takes."""
    history: Callable[[int], History]
    """What went out before for an instance."""
    wants_rejection: frozenset[str]
    """Destinations that are told by a rejection note what was replaced."""
    archive: Archive
    receivers: Mapping[str, HL7Destination] = field(default_factory=dict)
    """Who may hear by HL7, for those that stand by."""


SPEAKS_OF_REFUSAL: tuple[OutputKind, ...] = ("sr", "text_sr")
"""The kinds that can say why an image was not analysed."""
SUFFIX: Mapping[ObjectKind, str] = {"oru": ".hl7", "fhir": ".json"}
"""Of the kinds that are no DICOM file."""


def report(claim: Claim, reading: Reading, context: ReportingContext, now: float) -> Outcome:
    """Make and store the objects of one claim, for every route that wants them.

    The same object for several destinations or routes is made once. Raises
    GiveUp when none of the routes that asked for the reading exists any more.
    """
    history = context.history(claim.instance_id)
    reading = replace(reading, findings=tuple(map(history.counted, reading.findings)))
    objects: dict[str, tuple[ReportObject, StoredFile]] = {}
    deliveries: dict[tuple[str, str], NewDelivery] = {}
    replaced: dict[Replacement, None] = {}
    standbys: dict[tuple[str, str], Escalation] = {}
    for route, findings in _by_route(claim, reading, context.routes):
        part = Reading(reading.source, reading.radiograph, (), findings)
        for made, delivery, instead in _addressed(route, part, context, history, now):
            if made.sop_instance_uid not in objects:
                objects[made.sop_instance_uid] = (made, _stored(made, context.archive))
            deliveries.setdefault((made.sop_instance_uid, delivery.destination), delivery)
            if instead is not None:
                replaced.setdefault(instead)
            for spare, escalation in _escalations(made, delivery, route, part, context, now):
                if spare.sop_instance_uid not in objects:
                    objects[spare.sop_instance_uid] = (spare, _stored(spare, context.archive))
                standbys.setdefault((escalation.instead_of, escalation.destination), escalation)
    for one in replaced:
        log.warning(
            "object_replaced",
            destination=one.destination,
            wanted=one.wanted,
            sent=one.sent,
            reason=one.reason,
        )
    return Outcome(
        reading.findings,
        tuple(objects.values()),
        tuple(deliveries.values()),
        tuple(replaced),
        tuple(standbys.values()),
    )


def _by_route(
    claim: Claim, reading: Reading, routes: Mapping[str, Route]
) -> Iterator[tuple[Route, tuple[Findings, ...]]]:
    names = dict.fromkeys(name for job in claim.jobs for name in job.routes)
    known = [routes[name] for name in names if name in routes]
    if not known:
        raise GiveUp(f"route {', '.join(names)} is no longer in the configuration")
    answers = dict(zip(reading.requests, reading.findings, strict=True))
    for route in known:
        name = route.name
        asked = [
            PipelineRequest(one.pipeline, route.choice) for one in claim.jobs if name in one.routes
        ]
        yield route, tuple(answers[request] for request in asked)


Addressed = tuple[ReportObject, NewDelivery, Replacement | None]


def _addressed(
    route: Route, reading: Reading, context: ReportingContext, history: History, now: float
) -> Iterator[Addressed]:
    """Yield every object and message of one route with one of its destinations.

    A message tells of all findings, however the objects are combined.
    """
    for part in (reading,) if route.combine else _parts(reading):
        yield from _filed(route, part, context, history, now)
    yield from _telling(route, reading, context, history, now)


def _parts(reading: Reading) -> Iterator[Reading]:
    """Take a reading apart into those of the single pipelines."""
    for findings in reading.findings:
        yield Reading(reading.source, reading.radiograph, (), (findings,))


def _filed(
    route: Route, reading: Reading, context: ReportingContext, history: History, now: float
) -> Iterator[Addressed]:
    """Yield the objects of one set with their destinations."""
    read = any(findings.not_analysed is None for findings in reading.findings)
    priority: Priority = "urgent" if any(f.urgent for f in reading.findings) else route.priority
    pipelines = tuple(one.algorithm.name for one in reading.findings)
    for peer in route.send_to:
        new: list[str] = []
        sent = {s.ref.sop_instance_uid for s in history.sent if s.destination == peer}
        seg = _refers_to_seg(Address(route, peer), sent, reading, context, now)
        for kind, part in _wanted(route.outputs if read else _refusal_kinds(route), reading):
            slot = slot_of(route.name, kind, tuple(one.algorithm.name for one in part))
            to = Address(route, peer, None, history.predecessor(slot, peer), with_seg=seg)
            made, instead = _made(kind, to, reading, context, now, part)
            if made is not None:
                new.append(made.sop_instance_uid)
                delivery = NewDelivery(made.sop_instance_uid, peer, "dicom", priority)
                yield replace(made, slot=slot), delivery, instead
        if peer in context.wants_rejection:
            old = history.superseded(route.name, pipelines, peer)
            yield from _rejecting(Address(route, peer, None, old), new, reading, context, now)


def _wanted(
    kinds: tuple[OutputKind, ...], reading: Reading
) -> Iterator[tuple[OutputKind, tuple[Findings, ...]]]:
    """Yield the kind of every object of a set, with the findings that it tells of."""
    for kind in kinds:
        for part in sets_of(kind, reading.findings):
            yield kind, part


def _refers_to_seg(
    to: Address, sent: set[str], reading: Reading, context: ReportingContext, now: float
) -> bool:
    """Whether a report may refer to the SEG: its destination takes that.

    A report that was `sent` with the reference before the SEG was refused stays as it is.
    """
    reports = {"seg", "sr"} <= set(to.route.outputs)
    if not reports or context.choose("seg", to.destination)[1].kind == "seg":
        return True
    made, _ = _made("sr", to, reading, context, now, reading.findings) if sent else (None, None)
    return made is not None and made.sop_instance_uid in sent


def _made(
    kind: OutputKind,
    to: Address,
    reading: Reading,
    context: ReportingContext,
    now: float,
    part: tuple[Findings, ...],
) -> tuple[ReportObject | None, Replacement | None]:
    """Make the object that a route asks for, or what its destination takes instead.

    The former tells of `part` of the findings, the latter of all.
    """
    wanted, taken = context.choose(kind, to.destination)
    made = context.build(
        wanted.kind, replace(to, form=wanted), replace(reading, findings=part), now
    )
    if made is None or wanted == taken:
        return made, None
    made = context.build(taken.kind, replace(to, form=taken), reading, now)
    sent = "nothing" if made is None else str(taken)
    reason = f"the peer does not accept {wanted.sop_class_uid}"
    return made, Replacement(to.destination, str(wanted), sent, reason)


def _rejecting(
    to: Address, new: list[str], reading: Reading, context: ReportingContext, now: float
) -> Iterator[Addressed]:
    """Reject the set that the new one replaces, once the new one has arrived."""
    if not new or not to.before or any(one.ref.sop_instance_uid in new for one in to.before):
        return  # nothing was replaced, or it is the same reading again
    made = context.build("rejection", to, reading, now)
    if made is not None:
        uid, pipelines = made.sop_instance_uid, tuple(f.algorithm.name for f in reading.findings)
        slot = slot_of(to.route.name, "rejection", pipelines)
        yield (
            replace(made, slot=slot),
            NewDelivery(uid, to.destination, "dicom", "routine", after_objects=True),
            None,
        )


def _telling(
    route: Route, reading: Reading, context: ReportingContext, history: History, now: float
) -> Iterator[Addressed]:
    """Yield a message for each receiver that has to hear of these findings."""
    priority: Priority = "urgent" if any(f.urgent for f in reading.findings) else route.priority
    for receiver in context.notified(route, reading.findings, history):
        corrected = history.told(receiver.name) and history.changed(reading.findings)
        to = Address(route, receiver.name, corrected=corrected)
        fhir = isinstance(receiver, FhirDestination)
        kind: ObjectKind = "fhir" if fhir else "oru"
        made = context.build(kind, to, reading, now)
        if made is not None:
            after = receiver.release == "after_objects"
            uid = made.sop_instance_uid
            slot = slot_of(route.name, kind, ())
            way: Protocol = "fhir" if fhir else "mllp"
            delivery = NewDelivery(uid, receiver.name, way, priority, after_objects=after)
            yield replace(made, slot=slot), delivery, None


def _escalations(
    made: ReportObject,
    delivery: NewDelivery,
    route: Route,
    reading: Reading,
    context: ReportingContext,
    now: float,
) -> Iterator[tuple[ReportObject, Escalation]]:
    """Yield the messages that stand by for one of an urgent finding."""
    receiver = context.receivers.get(delivery.destination)
    if made.kind == "oru" and receiver and any(one.urgent for one in reading.findings):

        def build(name: str) -> ReportObject | None:
            return context.build("oru", Address(route, name), reading, now)

        yield from escalations_for(made, receiver, build, now)


def _refusal_kinds(route: Route) -> tuple[OutputKind, ...]:
    if not route.report_not_analysed:
        return ()
    wanted = tuple(kind for kind in route.outputs if kind in SPEAKS_OF_REFUSAL)
    return wanted or ("text_sr",)


def _stored(made: ReportObject, archive: Archive) -> StoredFile:
    return archive.put([made.content], "results", SUFFIX.get(made.kind, ".dcm"))
