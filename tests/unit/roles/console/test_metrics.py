"""What Prometheus reads, through the database and the parser of its own library."""

from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Engine

from dicom_node.domain.operations.monitoring import (
    DAY_S,
    DiskSample,
    Gpu,
    Heartbeat,
    ServingModel,
    days_left,
    roles_without_heartbeat,
)
from dicom_node.domain.work import DeliveryFailure, Failure
from dicom_node.roles.console.metrics import Disk, write_metrics
from dicom_node.storage.queue.ledger import SqlLedger
from dicom_node.storage.status.counters import count_rows
from dicom_node.storage.status.heartbeats import (
    prune_heartbeats,
    record_heartbeat,
    remove_heartbeat,
    sample_disk,
    take_heartbeats,
)
from dicom_node.storage.status.readings import take_readings
from tests.support.rows import ONE_JOB, arrival, batch, finished

NAMES = {"CR1": "room 1"}
WORKER = Heartbeat(
    "work@host:7", "work", 900.0, 1990.0, 5 << 20, 12, (ServingModel("pneumothorax", "1.0", "cpu"),)
)

Samples = dict[tuple[str, ...], float]


def shown(engine: Engine, now: float = 2000.0) -> Samples:
    """Give every sample by its name and its labels' values, in the order of their names."""
    text = write_metrics(take_readings(engine, NAMES, now), Disk(50_000, 10_000))
    assert "DOE" not in text
    assert "1.2.3." not in text  # no UID of an image
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_an_empty_node_has_its_metrics_too(engine: Engine) -> None:
    samples = shown(engine)
    assert samples["dicom_node_images_analysed_total",] == 0
    assert samples["dicom_node_queue_jobs", "available"] == 0
    assert samples["dicom_node_disk_free_bytes",] == 50_000
    assert samples["dicom_node_disk_left_seconds",] == float("inf")


def test_queue_outbox_and_dead_letters(engine: Engine, ledger: SqlLedger) -> None:
    finished(ledger, 1, now=1001.0)
    ledger.record(arrival(2, at=1500.0, patient="DOE^JOHN"), ONE_JOB)
    taken = batch(ledger, 1600.0)
    failure = Failure(None, "DOE^JOHN is not welcome")
    dead = tuple(DeliveryFailure(one.id, failure) for one in taken.deliveries)
    ledger.finish_deliveries(taken, (), dead, 1601.0)
    samples = shown(engine)
    assert samples["dicom_node_queue_jobs", "available"] == 1
    assert samples["dicom_node_queue_oldest_seconds",] == 500
    assert samples["dicom_node_dead_letters", taken.destination] == len(dead)
    waiting = {"pacs": "ris", "ris": "pacs"}[taken.destination]
    assert samples["dicom_node_outbox_oldest_seconds", waiting] == 999
    assert samples["dicom_node_alarms_open", "delivery_discarded"] == 1
    assert samples["dicom_node_sender_silent_seconds", "room 1"] == 500


def test_the_histogram_adds_up(engine: Engine, ledger: SqlLedger) -> None:
    for number, took_s in ((1, 0.2), (2, 4.0), (3, 9000.0)):
        finished(ledger, number, now=1000.0 + took_s)
    count_rows(engine, NAMES)
    samples = shown(engine, 20_000.0)
    name, of = "dicom_node_turnaround_seconds", ("pneumothorax", "wait")
    assert samples[f"{name}_bucket", "0.1", *of] == 0
    assert samples[f"{name}_bucket", "0.25", *of] == 1
    assert samples[f"{name}_bucket", "5.0", *of] == 2
    assert samples[f"{name}_bucket", "+Inf", *of] == samples[f"{name}_count", *of] == 3
    assert samples[f"{name}_sum", *of] == pytest.approx(9004.2)


def test_signs_of_life(engine: Engine) -> None:
    record_heartbeat(engine, WORKER)
    record_heartbeat(engine, replace(WORKER, last_at=1995.0, open_files=13))
    record_heartbeat(
        engine, replace(WORKER, worker="receive@host:6", role="receive", last_at=1900.0)
    )
    samples = shown(engine)
    assert samples["dicom_node_role_processes", "work"] == 1
    assert samples["dicom_node_role_processes", "receive"] == 0  # silent for 100 s
    assert samples["dicom_node_process_open_files", "work", "work@host:7"] == 13
    assert samples["dicom_node_model_info", "cpu", "pneumothorax", "1.0", "work@host:7"] == 1
    needed = ("receive", "work", "deliver")
    assert roles_without_heartbeat(needed, take_heartbeats(engine), 2000.0) == (
        "receive",
        "deliver",
    )
    remove_heartbeat(engine, "work@host:7")
    assert roles_without_heartbeat(needed, take_heartbeats(engine), 2000.0) == needed


def test_a_gpu_shows_once_for_all_workers_of_its_host(engine: Engine) -> None:
    for number, busy in ((7, 0.2), (8, 0.5)):
        gpu = Gpu("0", 100, 400, busy)
        record_heartbeat(
            engine, replace(WORKER, worker=f"work@h:{number}", last_at=1990.0 + busy, gpus=(gpu,))
        )
    samples = shown(engine)
    assert samples["dicom_node_gpu_busy_ratio", "0", "h"] == 0.5
    assert samples["dicom_node_gpu_memory_used_bytes", "0", "h"] == 100
    assert len([name for name in samples if name[0] == "dicom_node_gpu_busy_ratio"]) == 1


def test_an_hour_after_its_death_a_process_is_forgotten(engine: Engine) -> None:
    record_heartbeat(engine, WORKER)
    prune_heartbeats(engine, 1990.0 + 3599)
    assert take_heartbeats(engine) == (WORKER,)
    prune_heartbeats(engine, 1990.0 + 3601)
    assert take_heartbeats(engine) == ()


def test_one_disk_sample_an_hour(engine: Engine) -> None:
    for at, free in ((7200.0, 90_000), (7300.0, 1), (7200.0 + 2 * DAY_S, 50_000)):
        sample_disk(engine, free, at)
    # 40,000 bytes in two days; 40,000 above the reserve are left
    assert shown(engine, 8000.0 + 2 * DAY_S)["dicom_node_disk_left_seconds",] == pytest.approx(
        2 * DAY_S
    )
    prune_heartbeats(engine, 7200.0 + 9 * DAY_S + 1)
    assert shown(engine)["dicom_node_disk_left_seconds",] == float("inf")


@pytest.mark.parametrize(
    ("samples", "days"),
    [
        ([], float("inf")),
        ([(0, 100), (DAY_S / 2, 50)], float("inf")),  # half a day tells nothing
        ([(0, 100), (2 * DAY_S, 120)], float("inf")),  # it grows
        ([(0, 100), (2 * DAY_S, 60)], 2.5),
        ([(0, 100), (DAY_S, 5)], 0.0),  # the reserve is used up
    ],
)
def test_days_left(samples: list[tuple[float, int]], days: float) -> None:
    assert days_left([DiskSample(*one) for one in samples], 10.0) == days
