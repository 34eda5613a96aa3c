"""Everything that runs by the clock: tidying, counting, watching, the nightly comparison."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger

from dicom_node.assembly.commitment import commit_jobs
from dicom_node.assembly.negotiation import ask_all
from dicom_node.assembly.parts import LEASE_S, Parts, worker_name
from dicom_node.audit.retention import AuditedRetention
from dicom_node.domain.archive import Retention
from dicom_node.domain.errors import NodeError
from dicom_node.domain.operations.monitoring import DAY_S
from dicom_node.flow import tidy
from dicom_node.flow.backfill import Wait
from dicom_node.flow.deliver import Outbox, Sender, deliver_once
from dicom_node.operations import alarms, reconciliation
from dicom_node.storage.database.engine import empty_journal
from dicom_node.storage.queue import identity, orders
from dicom_node.storage.queue.alarms import close_alarm, oldest_deliveries_at, open_alarm
from dicom_node.storage.queue.escalation import escalate
from dicom_node.storage.status.counters import count_rows
from dicom_node.storage.status.heartbeats import prune_heartbeats, sample_disk

log = structlog.get_logger()

UNKNOWN_FILES = "archive_unknown_files"
RESCUE_EVERY_S = 5
COUNT_EVERY_S = 10
DISK_EVERY_S = 60
AGES_EVERY_S = 60
SAMPLE_EVERY_S = 300
HABITS_EVERY_S = 900
EXPIRE_EVERY_S = 3600
ASK_EVERY_S = 12 * 3600
NIGHT_LATE_S = 3600
"""How much later than its time a night's run may still start."""
STEP_S = 1.0
"""A clock that goes back further within a second was set."""


@contextmanager
def tidying(parts: Parts, senders: Mapping[str, Sender], wait: Wait) -> Iterator[None]:
    """Run the tidying jobs until the block ends; `wait` sleeps for them, True: end now.

    Several processes may do this at once: each job is one claim or deletion that
    a second one finds done.
    """
    jobs = (
        (RESCUE_EVERY_S, partial(_rescue, parts)),
        (RESCUE_EVERY_S, partial(_escalate, parts)),
        (DISK_EVERY_S, partial(_check_disk, parts)),
        (DISK_EVERY_S, partial(_discard_unroutable_deliveries, parts, senders)),
        (EXPIRE_EVERY_S, partial(_expire, parts)),
        (ASK_EVERY_S, partial(ask_all, parts)),
        *commit_jobs(parts),
        (COUNT_EVERY_S, lambda: count_rows(parts.engine, alarms.sender_names(parts.settings))),
        (AGES_EVERY_S, lambda: alarms.watch_ages(parts, parts.clock())),
        # the audit trail is a file of this host, and has its time
        (AGES_EVERY_S, lambda: alarms.watch_audit(parts, time.time())),
        (SAMPLE_EVERY_S, partial(_sample, parts)),
        (HABITS_EVERY_S, lambda: alarms.watch_habits(parts, parts.clock())),
        (HABITS_EVERY_S, lambda: alarms.watch_certificates(parts, parts.clock())),
    )
    # a thread for each: peers that hang must not keep the dead workers' images waiting
    threads = ThreadPoolExecutor(len(jobs) + 1)
    scheduler = BackgroundScheduler(timezone="UTC", executors={"default": threads})
    for every_s, job in jobs:
        every = IntervalTrigger(seconds=every_s)
        # late is better than never: a busy machine must not make a rescue fall out
        scheduler.add_job(_guarded, every, (job,), misfire_grace_time=None, coalesce=True)
    night = reconciliation.nightly_trigger(parts.settings)
    if night is not None:
        once = partial(reconciliation.reconcile_nightly, parts, wait)
        scheduler.add_job(once, night, misfire_grace_time=NIGHT_LATE_S, coalesce=True)
    scheduler.start()
    ended = threading.Event()
    watch = threading.Thread(target=_follow_clock, args=(scheduler, ended), name="clock")
    watch.start()
    try:
        yield
    finally:
        ended.set()
        watch.join()
        scheduler.shutdown(wait=True)


def _follow_clock(scheduler: BackgroundScheduler, ended: threading.Event) -> None:
    """Call what is due every so often when the clock was set back.

    They are due by the time of day: an hour back, and for an hour nothing would be
    rescued, nobody alarmed.
    """
    before_s = time.time() - time.monotonic()
    while not ended.wait(STEP_S):
        seen_s = time.time() - time.monotonic()
        if before_s - seen_s > STEP_S:
            log.warning("clock_set_back", seconds=round(before_s - seen_s))
            for job in scheduler.get_jobs():
                if isinstance(job.trigger, IntervalTrigger):
                    job.modify(next_run_time=datetime.now(UTC))
        before_s = seen_s


def _guarded(job: Callable[[], object]) -> None:
    try:
        job()
    except NodeError as error:
        log.error("tidying_failed", error=type(error).__name__, reason=str(error))


def _rescue(parts: Parts) -> None:
    tidy.rescue_work(parts.ledger, parts.clock())


def _escalate(parts: Parts) -> None:
    """Send the escalations of messages that nobody has acknowledged in time."""
    sent = escalate(parts.engine, parts.clock())
    if sent:
        log.warning("messages_escalated", messages=sent)


def _sample(parts: Parts) -> None:
    now = parts.clock()
    sample_disk(parts.engine, parts.archive.free_bytes(), now)
    prune_heartbeats(parts.engine, now)


def _check_disk(parts: Parts) -> None:
    """Raise an alarm while the reserve is used up: senders are being refused."""
    reserve = parts.settings.receive.min_free_gb * 1e9
    free = parts.archive.free_bytes()
    if free < reserve:
        open_alarm(
            parts.engine, "disk", "free disk space is below receive.min_free_gb", parts.clock()
        )
        log.error("disk_low", free_bytes=free, reserve_bytes=int(reserve))
    else:
        close_alarm(parts.engine, "disk", parts.clock())


def _discard_unroutable_deliveries(parts: Parts, senders: Mapping[str, Sender]) -> None:
    """Give up deliveries whose destination the configuration has lost: they show then."""
    outbox = Outbox(worker_name("tidy"), parts.ledger, parts.archive, senders, parts.clock, LEASE_S)
    for destination in oldest_deliveries_at(parts.engine).keys() - senders.keys():
        while deliver_once(outbox, destination):  # one study's at a time
            continue


def _expire(parts: Parts) -> None:
    """Apply the retention of the configuration to files, rows and orphans."""
    kept, now = parts.settings.retention, parts.clock()
    retention = AuditedRetention(parts.engine, parts.audit)
    log_s = kept.log_days * DAY_S
    tidy.expire_instances(retention, parts.archive, now, kept.instances_days * DAY_S, log_s)
    tidy.expire_objects(retention, parts.archive, now, kept.results_days * DAY_S, log_s)
    tidy.prune_rows(retention, now, log_s)
    orders.prune(parts.engine, now - log_s)
    empty_journal(parts.engine)  # where it is in use: an hour later
    parts.archive.tidy_spool(tidy.ORPHAN_AGE_S, now)
    _sweep(parts, retention, now)


def _sweep(parts: Parts, retention: Retention, now: float) -> None:
    identity.require_bound(parts.engine, parts.archive, now)
    before = now - tidy.ORPHAN_AGE_S
    aside = partial(parts.archive.set_aside, before=before)
    sweep = tidy.sweep_orphans(retention, parts.archive.old_keys(before), aside)
    if sweep.is_stopped:
        words = f"{sweep.unknown} of {sweep.files} archive files are unknown to the database"
        open_alarm(
            parts.engine, UNKNOWN_FILES, f"{words}: is it the right one, or a restored one?", now
        )
    else:
        close_alarm(parts.engine, UNKNOWN_FILES, now)
