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
        family.add_metric([str(value) for value in values], number)
    return family


def _counters(readings: Readings) -> Iterator[CounterMetricFamily]:
    for name, words, labels in (
        ("received", "Images received and safely stored", ["sender"]),
        ("analysed", "Images that a pipeline has read", []),
        ("not_analysed", "Images that were not read, by class of reason", ["reason"]),
    ):
        family = CounterMetricFamily(f"{NAME}_images_{name}", words, labels=labels)
        found = [tally for tally in readings.tallies if tally.name == name]
        for tally in found:
            family.add_metric(tally.labels, tally.value)
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
    counts = {tally.labels: tally.value for tally in readings.tallies if tally.name == "turnaround"}
    for tally in readings.tallies:
        if tally.name != "turnaround_us":
            continue
        buckets, so_far = [], 0.0
        for bound in TURNAROUND_S:
            so_far += counts.get((*tally.labels, f"{bound:g}"), 0.0)
            buckets.append(("+Inf" if bound == inf else repr(bound), so_far))
        family.add_metric(tally.labels, buckets, tally.value / 1e6)
    return family


def _queues(readings: Readings) -> Iterator[Metric]:
    states = ("available", "executing", "discarded")
    jobs = [backlog for backlog in readings.backlogs if not backlog.destination]
    outbox = [backlog for backlog in readings.backlogs if backlog.destination]
    counts = [(state, getattr(backlog, state)) for backlog in jobs for state in states]
    yield _gauge("queue_jobs", "Unfinished and dead jobs", ["state"], counts)
    oldest = [(backlog.oldest_s,) for backlog in jobs]
    yield _gauge("queue_oldest_seconds", "Age of the oldest unfinished job", [], oldest)
    held = [
        (backlog.destination, state, getattr(backlog, state))
        for backlog in outbox
        for state in states
    ]
    where = ["destination", "state"]
    yield _gauge("outbox_deliveries", "Unfinished and dead deliveries", where, held)
    ages = [(backlog.destination, backlog.oldest_s) for backlog in outbox]
    words = "Age of the oldest unfinished delivery"
    yield _gauge("outbox_oldest_seconds", words, ["destination"], ages)
    dead = [(backlog.destination or "jobs", backlog.discarded) for backlog in readings.backlogs]
    yield _gauge("dead_letters", "Work that was given up", ["queue"], dead)


def _roles(readings: Readings) -> Iterator[Metric]:
    heartbeats, who = readings.heartbeats, ["role", "worker"]
    alive = dict.fromkeys((heartbeat.role for heartbeat in heartbeats), 0)
    for heartbeat in heartbeats:
        alive[heartbeat.role] += readings.at - heartbeat.last_at < SILENT_S
    words = "Processes that have lately shown life"
    yield _gauge("role_processes", words, ["role"], alive.items())
    silent = [
        (heartbeat.role, heartbeat.worker, max(0.0, readings.at - heartbeat.last_at))
        for heartbeat in heartbeats
    ]
    yield _gauge("process_last_seen_seconds", "Time since the last sign of life", who, silent)
    memory = [
        (heartbeat.role, heartbeat.worker, heartbeat.resident_bytes) for heartbeat in heartbeats
    ]
    yield _gauge("process_resident_bytes", "Memory of each process", who, memory)
    files = [(heartbeat.role, heartbeat.worker, heartbeat.open_files) for heartbeat in heartbeats]
    yield _gauge("process_open_files", "Open file handles of each process", who, files)
    models = [
        (heartbeat.worker, m.pipeline, m.version, m.device, 1)
        for heartbeat in heartbeats
        for m in heartbeat.models
    ]
    which = ["worker", "pipeline", "version", "device"]
    yield _gauge("model_info", "Models that workers read with; always 1", which, models)


def _gpus(readings: Readings) -> Iterator[Metric]:
    # two workers of one host show the same GPU: the later sign counts
    seen = {
        (heartbeat.worker.partition("@")[2].rpartition(":")[0], gpu.index): gpu
        for heartbeat in sorted(readings.heartbeats, key=lambda heartbeat: heartbeat.last_at)
        for gpu in heartbeat.gpus
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
    drifts = [(drift.pipeline, drift.finding, drift.psi) for drift in readings.drifts]
    words = "Population stability index of live scores against the model's reference"
    yield _gauge("score_psi", words, ["pipeline", "finding"], drifts)
