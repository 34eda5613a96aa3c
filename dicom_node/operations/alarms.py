"""Raises and closes the alarms of [alarms]."""

from collections.abc import Iterable, Iterator

import structlog

from dicom_node.assembly.parts import Parts
from dicom_node.audit.watch import audit_faults
from dicom_node.domain.operations.monitoring import population_stability, too_silent
from dicom_node.operations.certificates import certificate_faults
from dicom_node.settings.settings import Settings
from dicom_node.storage.queue import alarms

log = structlog.get_logger()

HOUR_S = 3600.0


def sender_names(settings: Settings) -> dict[str, str]:
    """Give the configured name of each sender by its AE title."""
    return {str(peer.ae_title): peer.name for peer in settings.peers if peer.may_send}


def watch_ages(parts: Parts, now: float) -> None:
    """Watch how long images and results wait."""
    _set_alarms(parts, "queue_age", _waiting_images(parts, now), now)
    _set_alarms(parts, "outbox_age", _waiting_results(parts, now), now)


def watch_habits(parts: Parts, now: float) -> None:
    """Watch for senders that fell silent and for scores that moved."""
    _set_alarms(parts, "silent_sender", _silent_senders(parts, now), now)
    _set_alarms(parts, "drift", _drifted(parts, now), now)


def watch_certificates(parts: Parts, now: float) -> None:
    """Watch for certificates that run out."""
    _set_alarms(parts, "certificate_expires", certificate_faults(parts.settings, now), now)


def watch_audit(parts: Parts, now: float) -> None:
    """Watch that audit messages are written, and reach the syslog server."""
    _set_alarms(parts, "audit_behind", audit_faults(parts.settings, now), now)


def _set_alarms(parts: Parts, kind: str, facts: Iterable[str], now: float) -> None:
    words = tuple(facts)
    alarms.set_alarms(parts.engine, kind, words, now)
    for fact in words:
        log.warning("alarm_open", kind=kind, words=fact)


def _waiting_images(parts: Parts, now: float) -> Iterator[str]:
    limit_s = parts.settings.alarms.queue_age_s
    oldest_at = alarms.oldest_job_at(parts.engine)
    if limit_s and oldest_at is not None and now - oldest_at > limit_s:
        yield f"an image waits for longer than {limit_s:g} s to be read"


def _waiting_results(parts: Parts, now: float) -> Iterator[str]:
    limit_s = parts.settings.alarms.outbox_age_s
    for destination, oldest_at in alarms.oldest_deliveries_at(parts.engine).items():
        if limit_s and now - oldest_at > limit_s:
            yield f"{destination}: a result waits for longer than {limit_s:g} s to be delivered"


def _silent_senders(parts: Parts, now: float) -> Iterator[str]:
    least_h = parts.settings.alarms.silent_sender_h
    for ae, name in sender_names(parts.settings).items() if least_h else ():
        habit = alarms.habit_of(parts.engine, ae)
        if habit is not None and too_silent(habit, least_h * HOUR_S, now):
            yield f"{name}: has sent no image for longer than it ever pauses"


def _drifted(parts: Parts, now: float) -> Iterator[str]:
    limit = parts.settings.alarms.drift_psi
    for pipeline in parts.settings.pipelines if limit else ():
        for finding, psi in _drifts(parts, pipeline, now).items():
            if psi > limit:
                yield f"{pipeline}: scores of {finding} have left the model's reference"


def _drifts(parts: Parts, pipeline: str, now: float) -> dict[str, float]:
    """Measure one pipeline; the first images of a model become its reference."""
    most = parts.settings.alarms.drift_images
    found = alarms.live_scores(parts.engine, pipeline, most)
    if found is None:
        return {}
    model, live = found
    live = {finding: scores for finding, scores in live.items() if len(scores) >= most}
    reference = alarms.reference_of(parts.engine, model)
    if not reference:
        if live:
            alarms.keep_reference(parts.engine, model, live, now)
            log.info("reference_taken", pipeline=pipeline, version=model.version, images=most)
        return {}
    drifts = {
        finding: population_stability(reference[finding], scores)
        for finding, scores in live.items()
        if finding in reference
    }
    if drifts:
        alarms.keep_drift(parts.engine, model, drifts, now)
    return drifts
