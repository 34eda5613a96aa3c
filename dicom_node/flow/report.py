"""Findings become objects, and objects get destinations."""

from collections.abc import Callable, Iterator, Mapping

from dicom_node.domain.admission import Route
from dicom_node.domain.errors import GiveUp
from dicom_node.domain.findings import Findings
from dicom_node.domain.ports import Archive
from dicom_node.domain.study import HL7Destination
from dicom_node.domain.work import (
    Claim,
    NewDelivery,
    ObjectKind,
    Outcome,
    Priority,
    ReportObject,
    StoredFile,
)
from dicom_node.flow.infer import Question, Reading

Build = Callable[[ObjectKind, Route, str, Reading, float], ReportObject | None]
"""Make one kind of object for a route's named destination; None: nothing to say."""
Notified = Callable[[Route, tuple[Findings, ...]], tuple[HL7Destination, ...]]
"""Who hears by HL7 of these findings."""

SPEAKS_OF_REFUSAL: tuple[ObjectKind, ...] = ("sr", "text_sr")
"""The kinds that can say why an image was not analysed."""
SUFFIX: Mapping[bool, str] = {True: ".hl7", False: ".dcm"}


def report(
    claim: Claim,
    reading: Reading,
    routes: Mapping[str, Route],
    build: Build,
    notified: Notified,
    archive: Archive,
    now: float,
) -> Outcome:
    """Make and store the objects of one claim, for every route that wants them.

    The same object for several destinations or routes is made once. Raises
    GiveUp when none of the routes that asked for the reading exists any more.
    """
    objects: dict[str, tuple[ReportObject, StoredFile]] = {}
    deliveries: dict[tuple[str, str], NewDelivery] = {}
    for route, findings in _by_route(claim, reading, routes):
        part = Reading(reading.source, reading.radiograph, (), findings)
        for made, delivery in _addressed(route, part, build, notified, now):
            if made.sop_instance_uid not in objects:
                objects[made.sop_instance_uid] = (made, _stored(made, archive))
            deliveries.setdefault((made.sop_instance_uid, delivery.destination), delivery)
    return Outcome(reading.findings, tuple(objects.values()), tuple(deliveries.values()))


def _by_route(
    claim: Claim, reading: Reading, routes: Mapping[str, Route]
) -> Iterator[tuple[Route, tuple[Findings, ...]]]:
    names = dict.fromkeys(name for job in claim.jobs for name in job.routes)
    known = [routes[name] for name in names if name in routes]
    if not known:
        raise GiveUp(f"route {', '.join(names)} is no longer in the configuration")
    answers = dict(zip(reading.questions, reading.findings, strict=True))
    for route in known:
        name = route.name
        asked = [Question(one.pipeline, route.choice) for one in claim.jobs if name in one.routes]
        yield route, tuple(answers[question] for question in asked)


def _addressed(
    route: Route, reading: Reading, build: Build, notified: Notified, now: float
) -> Iterator[tuple[ReportObject, NewDelivery]]:
    """Yield every object of one route with one of its destinations."""
    read = any(findings.not_analysed is None for findings in reading.findings)
    priority: Priority = "urgent" if any(f.urgent for f in reading.findings) else route.priority
    for kind in route.outputs if read else _refusal_kinds(route):
        for peer in route.send_to:
            made = build(kind, route, peer, reading, now)
            if made is not None:
                uid = made.sop_instance_uid
                yield made, NewDelivery(uid, peer, "dicom", priority)
    for receiver in notified(route, reading.findings):
        made = build("oru", route, receiver.name, reading, now)
        if made is not None:
            yield (
                made,
                NewDelivery(
                    made.sop_instance_uid,
                    receiver.name,
                    "mllp",
                    priority,
                    after_objects=receiver.release == "after_objects",
                ),
            )


def _refusal_kinds(route: Route) -> tuple[ObjectKind, ...]:
    if not route.report_not_analysed:
        return ()
    wanted = tuple(kind for kind in route.outputs if kind in SPEAKS_OF_REFUSAL)
    return wanted or ("text_sr",)


def _stored(made: ReportObject, archive: Archive) -> StoredFile:
    return archive.put([made.content], "results", SUFFIX[made.kind == "oru"])
