"""The nightly comparison of the PACS with what was received."""

from collections.abc import Iterator
from datetime import date, timedelta

import structlog
from apscheduler.triggers.cron import CronTrigger

from dicom_node.assembly.parts import Parts
from dicom_node.assembly.retrieval import (
    BackfillOptions,
    fetch_missing,
    list_missing,
    try_association,
)
from dicom_node.domain.errors import NodeError, speakable
from dicom_node.domain.exchange.retrieval import Span
from dicom_node.domain.pipeline import Check
from dicom_node.flow.backfill import BackfilledStudy, BackfillQuery, Stopped, Wait
from dicom_node.settings.settings import Settings
from dicom_node.storage.queue.alarms import close_alarm, open_alarm

log = structlog.get_logger()

MISSING = "missing_at_node"
FAILED = "reconciliation_failed"
"""Kinds of alarms."""


def nightly_trigger(settings: Settings) -> CronTrigger | None:
    """Say when to reconcile; None without `reconcile.peer`."""
    if not settings.reconcile.peer:
        return None
    hour, minute = map(int, settings.reconcile.at.split(":"))
    # the hospital's own clock: study dates and its quiet hours follow it
    return CronTrigger(hour=hour, minute=minute)


def reconcile_nightly(parts: Parts, wait: Wait) -> None:
    """Reconcile once; whatever keeps it from an end becomes an alarm.

    Several processes may do this at once: what one fetched the other finds known.
    """
    try:
        for study in reconcile(parts, date.today(), wait):
            log.info(
                "study_reconciled", study_uid=study.found.study_uid, missing=missing_count(study)
            )
    except Stopped:
        return
    except Exception as error:  # noqa: BLE001 - the night's edge: no failure may go unseen
        kind, reason = type(error).__name__, speakable(error)
        log.error("reconciliation_failed", error=kind, reason=reason)
        _alarm(parts, FAILED, f"{parts.settings.reconcile.peer}: {reason or kind}")


def reconcile(
    parts: Parts, today: date, wait: Wait, *, fetch: bool | None = None
) -> Iterator[BackfilledStudy]:
    """Compare the last days; yields each study that lacks images, raises an alarm after all.

    `fetch` says whether they are had at once, in place of `reconcile.fetch`. The
    alarm of an earlier run is closed. Raises as `find_missing_images` and `fetch_missing_images`.
    """
    wanted = parts.settings.reconcile
    span = days_before(today, wanted.days)
    query, means = BackfillQuery(span), BackfillOptions(wanted.peer)
    run = fetch_missing if (wanted.fetch if fetch is None else fetch) else list_missing
    found = run(parts, query, means, wait, parts.settings.routes)
    images = studies = 0
    for study in found:
        if study.found.missing or study.faults:
            images, studies = (
                images + missing_count(study),
                studies + bool(missing_count(study) or study.found.fault),
            )
            yield study
    close_alarm(parts.engine, FAILED, parts.clock())
    close_alarm(parts.engine, MISSING, parts.clock())
    if studies:
        words = f"{images} images of {studies} studies of {span.first} to {span.last}"
        _alarm(parts, MISSING, f"{wanted.peer}: {words} were never received")


def probe(settings: Settings) -> Iterator[Check]:
    """Say whether the PACS lets us ask, and fetch if that is wanted; nothing when off."""
    wanted = settings.reconcile
    if not wanted.peer:
        return
    name = f"reconcile {wanted.peer}"
    try:
        try_association(settings, BackfillOptions(wanted.peer), fetching=wanted.fetch)
    except NodeError as error:
        yield Check(name, False, str(error))
    else:
        services = "C-FIND and C-GET" if wanted.fetch else "C-FIND"
        yield Check(name, True, f"offers {services}; compared each night at {wanted.at}")


def days_before(today: date, days: int) -> Span:
    """Give the last days that are over; what was made today may be on its way."""
    return Span(today - timedelta(days=days), today - timedelta(days=1))


def missing_count(study: BackfilledStudy) -> int:
    """Say how many images of the study are missing still."""
    return len(study.found.missing) - study.fetched


def _alarm(parts: Parts, kind: str, words: str) -> None:
    try:
        open_alarm(parts.engine, kind, words, parts.clock())
    except NodeError as error:
        log.error("alarm_not_raised", kind=kind, reason=str(error))
