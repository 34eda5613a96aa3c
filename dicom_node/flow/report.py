"""Findings become objects, and objects get destinations."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import structlog

from dicom_node.domain.admission import Route
from dicom_node.domain.errors import GiveUp, TryAgain
from dicom_node.domain.followup import History
from dicom_node.domain.pipeline import Archive
from dicom_node.domain.work import Claim, ObjectKind, Outcome, ReportObject, StoredFile
from dicom_node.flow.infer import Reading
from dicom_node.flow.plan import Destinations, PlannedObject, plan
from dicom_node.process.logs import log_failure

log = structlog.get_logger()

SUFFIX: Mapping[ObjectKind, str] = {"oru": ".hl7", "fhir": ".json"}
"""Of the kinds that are no DICOM file."""


@dataclass(frozen=True, slots=True)
class ReportingContext:
    """What reporting needs."""

    routes: Mapping[str, Route]
    build: Callable[[PlannedObject, Reading, float], ReportObject | None]
    """Make what is planned."""
    history: Callable[[int], History]
    """What went out before for an instance."""
    destinations: Callable[[float], Destinations]
    """Who gets results, and what each of them takes now."""
    archive: Archive


def report(claim: Claim, reading: Reading, context: ReportingContext, now: float) -> Outcome:
    """Plan, make and store the objects of one claim; raises GiveUp as `plan` does.

    What cannot be made keeps nothing else back: the rest goes out, and the outcome
    names it for an alarm. Raises TryAgain while the archive is away.
    """
    history = context.history(claim.instance_id)
    findings = tuple(map(history.with_generation, reading.findings))
    answers = dict(zip(reading.requests, findings, strict=True))
    planned = plan(claim, answers, context.routes, history, context.destinations(now), now)
    objects: dict[str, tuple[ReportObject, StoredFile]] = {}
    not_made: list[str] = []
    for planned_object in planned.objects:
        try:
            objects[planned_object.uid] = _store(planned_object, reading, context, now)
        except (TryAgain, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001 - a builder's edge: one odd header silences no alert
            log_failure("object_not_made", type(error), error.__traceback__)
            not_made.append(
                f"{planned_object.kind} for {planned_object.destination}: {type(error).__name__}"
            )
    for replacement in planned.replaced:
        log.warning(
            "object_replaced",
            destination=replacement.destination,
            wanted=replacement.wanted,
            sent=replacement.sent,
            reason=replacement.reason,
        )
    return Outcome(
        findings,
        tuple(objects.values()),
        tuple(delivery for delivery in planned.deliveries if delivery.sop_instance_uid in objects),
        planned.replaced,
        tuple(
            escalation
            for escalation in planned.escalations
            if {escalation.sop_instance_uid, escalation.instead_of} <= set(objects)
        ),
        tuple(not_made),
    )


def _store(
    planned: PlannedObject, reading: Reading, context: ReportingContext, now: float
) -> tuple[ReportObject, StoredFile]:
    """Make and store one object; raises GiveUp where it is not the planned one."""
    made = context.build(planned, reading, now)
    if made is None or made.sop_instance_uid != planned.uid:
        raise GiveUp(f"{planned.kind} for {planned.destination}: not made as it was planned")
    file = context.archive.put([made.content], "results", SUFFIX.get(made.kind, ".dcm"))
    return replace(made, slot=planned.slot), file
