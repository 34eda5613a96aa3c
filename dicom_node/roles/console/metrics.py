"""Writes the measurements in Prometheus' text format.

No label carries a patient's or an image's identifier: senders and destinations go
by their names in the configuration, reasons by their class.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import inf

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
    name: str,
    words: str,
    labels: Sequence[str],
    samples: Iterable[tuple[Sequence[str], float]],
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"{NAME}_{name}", words, labels=labels)
    for values, number in samples:
        family.add_metric(values, number)
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
    jobs = [one for one in readings.backlogs if not one.destination]
    outbox = [one for one in readings.backlogs if one.destination]
    yield _gauge(
        "queue_jobs",
        "Unfinished and dead jobs",
        ["state"],
        [
            item
            for one in jobs
            for item in (
                (["available"], one.available),
                (["executing"], one.executing),
                (["discarded"], one.discarded),
            )
        ],
    )
    yield _gauge(
        "queue_oldest_seconds",
        "Age of the oldest unfinished job",
        [],
        [([], one.oldest_s) for one in jobs],
    )
    yield _gauge(
        "outbox_deliveries",
        "Unfinished and dead deliveries",
        ["destination", "state"],
        [
            item
            for one in outbox
            for item in (
                ([one.destination, "available"], one.available),
                ([one.destination, "executing"], one.executing),
                ([one.destination, "discarded"], one.discarded),
            )
        ],
    )
    yield _gauge(
        "outbox_oldest_seconds",
        "Age of the oldest unfinished delivery",
        ["destination"],
        [([one.destination], one.oldest_s) for one in outbox],
    )
    dead = [([one.destination or "jobs"], one.discarded) for one in readings.backlogs]
    yield _gauge("dead_letters", "Work that was given up", ["queue"], dead)


def _roles(readings: Readings) -> Iterator[Metric]:
    beats = readings.heartbeats
    alive = {beat.role: 0 for beat in beats}
    for beat in beats:
        alive[beat.role] += readings.at - beat.last_at < SILENT_S
    counts = [([role], count) for role, count in alive.items()]
    yield _gauge("role_processes", "Processes that have lately shown life", ["role"], counts)
    who = ["role", "worker"]
    yield _gauge(
        "process_last_seen_seconds",
        "Time since the last sign of life",
        who,
        [([one.role, one.worker], max(0.0, readings.at - one.last_at)) for one in beats],
    )
    yield _gauge(
        "process_resident_bytes",
        "Memory of each process",
        who,
        [([one.role, one.worker], one.resident_bytes) for one in beats],
    )
    yield _gauge(
        "process_open_files",
        "Open file handles of each process",
        who,
        [([one.role, one.worker], one.open_files) for one in beats],
    )
    yield _gauge(
        "model_info",
        "Models that workers read with; always 1",
        ["worker", "pipeline", "version", "device"],
        [
            ([beat.worker, model.pipeline, model.version, model.device], 1.0)
            for beat in beats
            for model in beat.models
        ],
    )


def _gpus(readings: Readings) -> Iterator[Metric]:
    # two workers of one host show the same GPU: the later sign counts
    seen = {
        (beat.worker.partition("@")[2].rpartition(":")[0], gpu.index): gpu
        for beat in sorted(readings.heartbeats, key=lambda one: one.last_at)
        for gpu in beat.gpus
    }
    who = ["host", "gpu"]
    used = [(where, gpu.used_bytes) for where, gpu in seen.items()]
    total = [(where, gpu.total_bytes) for where, gpu in seen.items()]
    busy = [(where, gpu.busy) for where, gpu in seen.items()]
    yield _gauge("gpu_memory_used_bytes", "Memory in use on each GPU", who, used)
    yield _gauge("gpu_memory_total_bytes", "Memory of each GPU", who, total)
    yield _gauge("gpu_busy_ratio", "Share of time in which the GPU worked", who, busy)


def _room(readings: Readings, disk: Disk) -> Iterator[Metric]:
    yield _gauge("disk_free_bytes", "Room on the archive's disk", [], [([], disk.free_bytes)])
    yield _gauge(
        "disk_reserve_bytes", "Below it senders are refused", [], [([], disk.reserve_bytes)]
    )
    yield _gauge(
        "disk_left_seconds",
        "Time until the reserve is reached at the pace of the last week",
        [],
        [([], DAY_S * days_left(readings.disk, disk.reserve_bytes))],
    )


def _watched(readings: Readings) -> Iterator[Metric]:
    alarms = [([kind], count) for kind, count in readings.alarms]
    yield _gauge("alarms_open", "Alarms that nobody has closed", ["kind"], alarms)
    yield _gauge(
        "sender_silent_seconds",
        "Time since the last image of each sender",
        ["sender"],
        [([name], max(0.0, readings.at - at)) for name, at in readings.senders],
    )
    yield _gauge(
        "score_psi",
        "Population stability index of live scores against the model's reference",
        ["pipeline", "finding"],
        [([one.pipeline, one.finding], one.psi) for one in readings.drifts],
    )
