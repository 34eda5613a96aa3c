"""What is watched: signs of life, counters, disk, reasons."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np

BEAT_S = 10.0
"""How often a process gives a sign of life."""
SILENT_S = 45.0
"""Without one for so long it counts as dead: four missed heartbeats."""
DAY_S = 86_400.0
RECEIVER_FULL = "receiver_full"
"""The kind of alarm that says that configured peers find no place at a receiver."""


@dataclass(frozen=True, slots=True)
class ServingModel:
    """A model that a worker reads with."""

    pipeline: str
    version: str
    device: str


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU of a worker's host; `busy` is a share, 0 to 1."""

    index: str
    used_bytes: int
    total_bytes: int
    busy: float


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The last sign of life of one process."""

    worker: str
    """Role, host and process id, as in the leases."""
    role: str
    started_at: float
    last_at: float
    resident_bytes: int
    open_files: int
    models: tuple[ServingModel, ...] = ()
    gpus: tuple[Gpu, ...] = ()


def roles_without_heartbeat(
    needed: Collection[str], heartbeats: Collection[Heartbeat], now: float
) -> tuple[str, ...]:
    """Name the roles of which no process has lately shown life."""
    alive = {heartbeat.role for heartbeat in heartbeats if now - heartbeat.last_at < SILENT_S}
    return tuple(role for role in needed if role not in alive)


@dataclass(frozen=True, slots=True)
class Tally:
    """A counter that only grows."""

    name: str
    labels: tuple[str, ...]
    value: float


@dataclass(frozen=True, slots=True)
class Backlog:
    """The unfinished and dead rows of one queue; `destination` is "" for the jobs."""

    destination: str
    available: int
    executing: int
    discarded: int
    oldest_s: float
    """Age of the oldest unfinished one, 0 without any."""


@dataclass(frozen=True, slots=True)
class Drift:
    """How far live scores of one finding are from the model's reference."""

    pipeline: str
    finding: str
    psi: float


@dataclass(frozen=True, slots=True)
class Readings:
    """Everything that is measured, at one moment."""

    at: float
    tallies: tuple[Tally, ...]
    backlogs: tuple[Backlog, ...]
    heartbeats: tuple[Heartbeat, ...]
    alarms: tuple[tuple[str, int], ...]
    """Kind and number of the open ones."""
    senders: tuple[tuple[str, float], ...]
    """Name, and when the last image came."""
    drifts: tuple[Drift, ...]
    disk: tuple["DiskSample", ...]


@dataclass(frozen=True, slots=True)
class DiskSample:
    """How much room was left, and when."""

    at: float
    free_bytes: int


def days_left(samples: Sequence[DiskSample], reserve_bytes: float) -> float:
    """Say when the reserve is reached at the pace of the samples (oldest first).

    Infinite while the room does not shrink, or the samples cover less than a day:
    an hour of work tells nothing of a night.
    """
    if len(samples) < 2 or samples[-1].at - samples[0].at < DAY_S:
        return inf
    first, last = samples[0], samples[-1]
    spent_per_s = (first.free_bytes - last.free_bytes) / (last.at - first.at)
    if spent_per_s <= 0:
        return inf
    return max(0.0, (last.free_bytes - reserve_bytes) / spent_per_s / DAY_S)


USUAL_IMAGES = 20
USUAL_SPAN_S = 7 * DAY_S
PATIENCE = 1.25


@dataclass(frozen=True, slots=True)
class Habit:
    """How a sender sent in the two weeks up to its last image."""

    last_at: float
    images: int
    span_s: float
    """From the first to the last of these images."""
    longest_pause_s: float


def too_silent(habit: Habit, least_s: float, now: float) -> bool:
    """Say whether a sender that usually sends has stopped.

    Its own pauses are the measure, so that a closed weekend raises no alarm: it
    must be silent for `least_s` and for longer than the longest of them. Who sent
    few images, or for less than a week, has no habit yet.
    """
    if habit.images < USUAL_IMAGES or habit.span_s < USUAL_SPAN_S:
        return False
    return now - habit.last_at > max(least_s, PATIENCE * habit.longest_pause_s)


TURNAROUND_S = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0, inf)
"""Upper bounds of the turnaround histogram, in seconds."""


def bucket_of(seconds: float) -> float:
    """Give the bound of the bucket; hosts' clocks may differ, so below 0 is 0."""
    return next(bound for bound in TURNAROUND_S if seconds <= bound)


_REASONS = (
    (r"^failed\b", "failed"),
    (r"^no route configured$", "no route"),
    (r"^(calling AE|modality|body part|view)\b.* not in route$", r"\1 not in route"),
    (r"^own result$", "own result"),
    (r"^view .* not frontal$", "not a frontal view"),
    (r"^image of .* too (small|large)$", r"image too \1"),
    (r"^(multi-frame image|colour image|image for processing)\b.*$", r"\1"),
    (r"^secondary capture\b.*$", "secondary capture"),
    (r"^not a frontal chest radiograph\b.*$", "not a frontal chest radiograph"),
    (r"^image is rotated\b.*$", "rotated"),
    (r"^grey levels are inverted$", "inverted"),
    (r"^image is blank\b.*$", "blank"),
    (r".*\bcannot be decoded\b.*$", "cannot be decoded"),
    (
        r"^(?:damaged|truncated|no pixels?|encapsulated|compressed|pixel data)\b.*$",
        "damaged pixels",
    ),
)


def reason_class(words: str) -> str:
    """Put the reason for not analysing an image into one of few classes.

    A metric's label must neither quote a header nor take endlessly many values.
    """
    for pattern, label in _REASONS:
        found = re.match(pattern, words)
        if found:
            return found.expand(label)
    return "other"


BINS = 10


def population_stability(reference: Sequence[float], live: Sequence[float]) -> float:
    """Compare two samples of a score; 0 is no difference.

    The population stability index over the tenths of the reference: the sum of
    (p - q) ln(p / q). By custom below 0.1 is steady, above 0.25 a shift. Two samples
    of n images from one source differ by about 18 / n by chance. Half an image is
    added to each bin, so that an empty one gives no infinity.
    """
    tenths = np.quantile(np.asarray(reference), np.linspace(0, 1, BINS + 1)[1:-1])
    edges = np.unique(tenths)  # a score that many images have makes one bin of several
    shares = []
    for sample in (reference, live):
        counts = np.bincount(np.searchsorted(edges, sample, side="left"), minlength=len(edges) + 1)
        shares.append((counts + 0.5) / (counts.sum() + 0.5 * len(counts)))
    before, after = shares
    return float(np.sum((after - before) * np.log(after / before)))
