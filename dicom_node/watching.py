"""What the tidying process counts and watches."""

import time
from collections.abc import Callable
from functools import partial

from dicom_node import alarms, node
from dicom_node.adapters.clock import DatabaseClock
from dicom_node.adapters.metrics import Disk, write_metrics
from dicom_node.adapters.metrics_beats import prune_beats, sample_disk, take_beats
from dicom_node.adapters.metrics_readings import take_readings
from dicom_node.adapters.metrics_tally import count_rows
from dicom_node.alarms import sender_names
from dicom_node.console.server import Views
from dicom_node.domain.watch import lifeless
from dicom_node.node import Parts
from dicom_node.settings import Settings

COUNT_EVERY_S = 10
AGES_EVERY_S = 60
SAMPLE_EVERY_S = 300
HABITS_EVERY_S = 900


def watch_jobs(parts: Parts) -> tuple[tuple[int, Callable[[], None]], ...]:
    """List what is to be done, with how often in seconds."""
    return (
        (COUNT_EVERY_S, partial(_count, parts)),
        (AGES_EVERY_S, lambda: alarms.watch_ages(parts, parts.clock())),
        (SAMPLE_EVERY_S, partial(_sample, parts)),
        (HABITS_EVERY_S, lambda: alarms.watch_habits(parts, parts.clock())),
        (HABITS_EVERY_S, lambda: alarms.watch_certificates(parts, time.time())),
        (AGES_EVERY_S, lambda: alarms.watch_audit(parts, time.time())),
    )


def needed_roles(settings: Settings) -> tuple[str, ...]:
    """Name the roles without which the node does not do what is configured."""
    optional = (("dicomweb", settings.dicomweb.port), ("orders", settings.orders.port))
    return ("receive", "work", "deliver", *(role for role, port in optional if port))


def views(settings: Settings) -> Views:
    """Give the console what it shows; the database is opened for each look."""
    return Views(
        census=partial(node.census, settings),
        missing=partial(_missing, settings),
        metrics=partial(_metrics, settings),
    )


def _missing(settings: Settings) -> tuple[str, ...]:
    with node.opened(settings) as engine:
        return lifeless(needed_roles(settings), take_beats(engine), DatabaseClock(engine)())


def _metrics(settings: Settings) -> str:
    with node.opened(settings) as engine:
        readings = take_readings(engine, sender_names(settings), DatabaseClock(engine)())
    disk = Disk(node.free_bytes(settings), int(settings.receive.min_free_gb * 1e9))
    return write_metrics(readings, disk)


def _count(parts: Parts) -> None:
    count_rows(parts.engine, sender_names(parts.settings))


def _sample(parts: Parts) -> None:
    now = parts.clock()
    sample_disk(parts.engine, parts.archive.free_bytes(), now)
    prune_beats(parts.engine, now)
