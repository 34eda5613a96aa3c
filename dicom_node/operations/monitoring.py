"""What the tidying process counts and watches."""

import time
from collections.abc import Callable
from functools import partial

from dicom_node.assembly.parts import Parts
from dicom_node.operations import alarms
from dicom_node.operations.alarms import sender_names
from dicom_node.settings.settings import Settings
from dicom_node.storage.status.beats import prune_beats, sample_disk
from dicom_node.storage.status.counters import count_rows

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


def _count(parts: Parts) -> None:
    count_rows(parts.engine, sender_names(parts.settings))


def _sample(parts: Parts) -> None:
    now = parts.clock()
    sample_disk(parts.engine, parts.archive.free_bytes(), now)
    prune_beats(parts.engine, now)
