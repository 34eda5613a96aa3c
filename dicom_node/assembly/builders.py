"""What a worker writes with: builders, receivers, what went out before."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import structlog
from sqlalchemy import Engine

import dicom_node
from dicom_node.assembly.negotiation import capabilities
from dicom_node.domain.exchange.destinations import Receiver
from dicom_node.domain.exchange.orders import UNREGISTERED, Registered, raised_priority
from dicom_node.domain.pipeline import Archive
from dicom_node.domain.study import HL7Destination
from dicom_node.domain.work import Claim, Outcome, ReportObject
from dicom_node.flow.infer import Reading, Source
from dicom_node.flow.plan import Destinations, PlannedObject
from dicom_node.flow.report import ReportingContext, report
from dicom_node.formats.dicom.header import keys_of
from dicom_node.results.common import ExaminedImage, ReportContext
from dicom_node.results.dicom import rejection
from dicom_node.results.messages import oru
from dicom_node.results.registry import BUILDERS
from dicom_node.settings.settings import Settings
from dicom_node.storage.queue import orders
from dicom_node.storage.queue.history import history_of

log = structlog.get_logger()


def writer(
    settings: Settings, engine: Engine, archive: Archive
) -> Callable[[Claim, Reading, float], Outcome]:
    """Make what turns a reading into objects with destinations."""
    every: tuple[Receiver, ...] = (*settings.hl7, *settings.fhir)
    receivers = {destination.name: destination for destination in every}
    reporting = ReportingContext(
        routes={route.name: route for route in settings.routes},
        build=partial(_build, settings, UNREGISTERED),
        history=partial(history_of, engine),
        destinations=lambda now: Destinations(capabilities(settings, engine, now), receivers),
        archive=archive,
    )

    def write(claim: Claim, reading: Reading, now: float) -> Outcome:
        known = registered_order(settings, engine, reading.source)
        if known.contradicted:
            study_uid = claim.arrival.instance.study_uid
            log.warning("order_of_another_patient", study_uid=study_uid)
        routes = {
            name: replace(route, priority=raised_priority(route.priority, known.priority))
            for name, route in reporting.routes.items()
        }
        at_this = replace(reporting, routes=routes, build=partial(_build, settings, known))
        return report(claim, reading, at_this, now)

    return write


def registered_order(settings: Settings, engine: Engine, source: Source) -> Registered:
    """Say what the order system knows of an image; nothing where none is listened to."""
    if not settings.orders.port:
        return UNREGISTERED
    return orders.registered(engine, keys_of(source))


def message(
    settings: Settings,
    to: Receiver,
    examined: ExaminedImage,
    known: Registered,
    now: float,
    planned: PlannedObject | None = None,
) -> ReportObject | None:
    """Make the message to a receiver; None: nothing to say. Without a plan it is a first one."""
    corrected = planned is not None and planned.corrected
    if isinstance(to, HL7Destination):
        who = (settings.node.ae_title, settings.node.institution)
        return oru.build(examined, oru.HL7Context(now, to, *who, corrected=corrected, known=known))
    # its models take a second to load, and few sites want them
    from dicom_node.results.messages import fhir

    route = "" if planned is None else planned.route.name
    about = fhir.FhirContext(
        now, to, settings.node.institution, corrected=corrected, known=known, route=route
    )
    return fhir.build(examined, about)


def _build(
    settings: Settings, known: Registered, planned: PlannedObject, reading: Reading, now: float
) -> ReportObject | None:
    examined = ExaminedImage(reading.source, reading.radiograph, planned.findings)
    if planned.kind == "oru" or planned.kind == "fhir":
        every: tuple[Receiver, ...] = (*settings.hl7, *settings.fhir)
        to = next(destination for destination in every if destination.name == planned.destination)
        return message(settings, to, examined, known, now, planned)
    make = rejection.build if planned.kind == "rejection" else BUILDERS[planned.kind]
    return make(
        examined,
        ReportContext(
            made_at=now,
            node_version=dicom_node.__version__,
            ae_title=settings.node.ae_title,
            institution=settings.node.institution,
            sr_class=planned.sr_class,
            references_seg=planned.references_seg,
            before=planned.before,
            overlay=planned.route.overlay,
        ),
    )
