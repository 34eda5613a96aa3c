"""Writes the measurements in Prometheus' text format.

No label carries a patient's or an image's identifier: senders and destinations go
by their names in the configuration, reasons by their class.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)

from dicom_node import __version__
from dicom_node.domain.operations.monitoring import (
    DAY_S,
    SILENT_S,
    TURNAROUND_S,
    Readings,
    days_left,
)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
NAME = "dicom_node"


@dataclass(frozen=True, slots=True)
class Disk:
    """The archive's disk now."""

    free_bytes: int
    reserve_bytes: int


@dataclass(frozen=True, slots=True)
class _Collector:
    """What the registry asks for; one look at the database, already taken."""

    readings: Readings
    disk: Disk

    def collect(self) -> Iterator[Metric]:
        """Give every family of metrics."""
        yield InfoMetricFamily(NAME, "The software", {"version": __version__})
        yield from _counters(self.readings)
        yield _turnaround(self.readings)
        yield from _queues(self.readings)
        yield from _roles(self.readings)
        yield from _gpus(self.readings)
        yield from _room(self.readings, self.disk)
        yield from _watched(self.readings)


def write_metrics(readings: Readings, disk: Disk) -> str:
    """Write everything as text, format 0.0.4."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(readings, disk))
    return generate_latest(registry).decode()


def _gauge(
    name: str, words: str, labels: Sequence[str], samples: Iterable[tuple[Any, ...]]
) -> GaugeMetricFamily:
    """Make a family of samples, each its labels' values and then its number."""
    family = GaugeMetricFamily(f"{NAME}_{name}", words, labels=labels)
    for *values, number in samples:
        family.add_metric([str(one) for one in values], number)
    return family


def _counters(readings: Readings) -> Iterator[CounterMetricFamily]:
    for name, words, labels in (
        ("received", "Images received and safely stored", ["sender"]),
        ("analysed", "Images that a pipeline has read", []),
        ("not_analysed", "Images that were not read, by class of reason", ["reason"]),
    ):
        family = CounterMetricFamily(f"{NAME}_images_{name}", words, labels=labels)
        found = [one for one in readings.tallies if one.name == name]
        for one in found:
            family.add_metric(one.labels, one.value)
        if not found and not labels:
            family.add_metric((), 0.0)
        yield family


def _turnaround(readings: Readings) -> HistogramMetricFamily:
    family = HistogramMetricFamily(
        f"{NAME}_turnaround_seconds",
        "wait: receipt to claim; read: claim to finish; deliver: finish to acknowledgement; "
        "total: receipt to acknowledgement",
        labels=["step", "place"],
    )
    counts = {one.labels: one.value for one in readings.tallies if one.name == "turnaround"}
    for one in readings.tallies:
        if one.name != "turnaround_us":
            continue
        buckets, so_far = [], 0.0
        for bound in TURNAROUND_S:
            so_far += counts.get((*one.labels, f"{bound:g}"), 0.0)
            buckets.append(("+Inf" if bound == inf else repr(bound), so_far))
        family.add_metric(one.labels, buckets, one.value / 1e6)
    return family


def _queues(readings: Readings) -> Iterator[Metric]:
    states = ("available", "executing", "discarded")
    jobs = [one for one in readings.backlogs if not one.destination]
    outbox = [one for one in readings.backlogs if one.destination]
    counts = [(state, getattr(one, state)) for one in jobs for state in states]
    yield _gauge("queue_jobs", "Unfinished and dead jobs", ["state"], counts)
    oldest = [(one.oldest_s,) for one in jobs]
    yield _gauge("queue_oldest_seconds", "Age of the oldest unfinished job", [], oldest)
    held = [(one.destination, state, getattr(one, state)) for one in outbox for state in states]
    where = ["destination", "state"]
    yield _gauge("outbox_deliveries", "Unfinished and dead deliveries", where, held)
    ages = [(one.destination, one.oldest_s) for one in outbox]
    words = "Age of the oldest unfinished delivery"
    yield _gauge("outbox_oldest_seconds", words, ["destination"], ages)
    dead = [(one.destination or "jobs", one.discarded) for one in readings.backlogs]
    yield _gauge("dead_letters", "Work that was given up", ["queue"], dead)


def _roles(readings: Readings) -> Iterator[Metric]:
    beats, who = readings.heartbeats, ["role", "worker"]
    alive = dict.fromkeys((beat.role for beat in beats), 0)
    for beat in beats:
        alive[beat.role] += readings.at - beat.last_at < SILENT_S
    words = "Processes that have lately shown life"
    yield _gauge("role_processes", words, ["role"], alive.items())
    silent = [(one.role, one.worker, max(0.0, readings.at - one.last_at)) for one in beats]
    yield _gauge("process_last_seen_seconds", "Time since the last sign of life", who, silent)
    memory = [(one.role, one.worker, one.resident_bytes) for one in beats]
    yield _gauge("process_resident_bytes", "Memory of each process", who, memory)
    files = [(one.role, one.worker, one.open_files) for one in beats]
    yield _gauge("process_open_files", "Open file handles of each process", who, files)
    models = [(one.worker, m.pipeline, m.version, m.device, 1) for one in beats for m in one.models]
    which = ["worker", "pipeline", "version", "device"]
    yield _gauge("model_info", "Models that workers read with; always 1", which, models)


def _gpus(readings: Readings) -> Iterator[Metric]:
    # two workers of one host show the same GPU: the later sign counts
    seen = {
        (beat.worker.partition("@")[2].rpartition(":")[0], gpu.index): gpu
        for beat in sorted(readings.heartbeats, key=lambda one: one.last_at)
        for gpu in beat.gpus
    }
    for name, words, field in (
        ("memory_used_bytes", "Memory in use on each GPU", "used_bytes"),
        ("memory_total_bytes", "Memory of each GPU", "total_bytes"),
        ("busy_ratio", "Share of time in which the GPU worked", "busy"),
    ):
        samples = [(*where, getattr(gpu, field)) for where, gpu in seen.items()]
        yield _gauge(f"gpu_{name}", words, ["host", "gpu"], samples)


def _room(readings: Readings, disk: Disk) -> Iterator[Metric]:
    left_s = DAY_S * days_left(readings.disk, disk.reserve_bytes)
    words = "Time until the reserve is reached at the pace of the last week"
    yield _gauge("disk_free_bytes", "Room on the archive's disk", [], [(disk.free_bytes,)])
    yield _gauge("disk_reserve_bytes", "Below it senders are refused", [], [(disk.reserve_bytes,)])
    yield _gauge("disk_left_seconds", words, [], [(left_s,)])


def _watched(readings: Readings) -> Iterator[Metric]:
    yield _gauge("alarms_open", "Alarms that nobody has closed", ["kind"], readings.alarms)
    silent = [(name, max(0.0, readings.at - at)) for name, at in readings.senders]
    words = "Time since the last image of each sender"
    yield _gauge("sender_silent_seconds", words, ["sender"], silent)
    drifts = [(one.pipeline, one.finding, one.psi) for one in readings.drifts]
    words = "Population stability index of live scores against the model's reference"
    yield _gauge("score_psi", words, ["pipeline", "finding"], drifts)
