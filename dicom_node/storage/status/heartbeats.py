"""Signs of life and samples of the disk, as rows."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from sqlalchemy import Connection, Engine, delete, select

from dicom_node.domain.operations.monitoring import DAY_S, DiskSample, Gpu, Heartbeat, ServingModel
from dicom_node.storage.database.rows import ascii_json, insert_new, key, upsert
from dicom_node.storage.database.schema import disk_samples, heartbeats
from dicom_node.storage.database.transactions import transaction

HOUR_S = 3600
DISK_DAYS = 7


def record_heartbeat(engine: Engine, sign: Heartbeat) -> None:
    """Write a process's sign of life over its last one."""
    row = asdict(sign) | {
        "worker": key(sign.worker),
        "models": ascii_json([asdict(model) for model in sign.models]),
        "gpus": ascii_json([asdict(gpu) for gpu in sign.gpus]),
    }
    with transaction(engine, durable=False) as conn:
        upsert(conn, heartbeats, row, row.keys() - {"worker"})


def remove_heartbeat(engine: Engine, worker: str) -> None:
    """Remove the sign of a process that stops in order."""
    with transaction(engine, durable=False) as conn:
        conn.execute(delete(heartbeats).where(heartbeats.c.worker == key(worker)))


def read_heartbeats(conn: Connection) -> tuple[Heartbeat, ...]:
    """Give the last sign of life of every process."""
    rows = conn.execute(select(heartbeats).order_by(heartbeats.c.role, heartbeats.c.worker))
    return tuple(
        Heartbeat(
            row.worker,
            row.role,
            row.started_at,
            row.last_at,
            row.resident_bytes,
            row.open_files,
            tuple(ServingModel(**model) for model in json.loads(row.models)),
            tuple(Gpu(**gpu) for gpu in json.loads(row.gpus)),
        )
        for row in rows
    )


def take_heartbeats(engine: Engine) -> tuple[Heartbeat, ...]:
    """Read the signs of life alone; raises TryAgain when the database is away."""
    with transaction(engine, writing=False) as conn:
        return read_heartbeats(conn)


def prune_heartbeats(engine: Engine, now: float) -> None:
    """Forget processes that died an hour ago, and samples older than a week.

    Not later: a process that dies and starts again and again leaves a row each time.
    """
    with transaction(engine, durable=False) as conn:
        conn.execute(delete(heartbeats).where(heartbeats.c.last_at < now - HOUR_S))
        conn.execute(delete(disk_samples).where(disk_samples.c.at < now - DISK_DAYS * DAY_S))


def sample_disk(engine: Engine, free_bytes: int, now: float) -> None:
    """Keep one sample an hour, whichever process takes it."""
    with transaction(engine, durable=False) as conn:
        row = {"hour": int(now // HOUR_S), "at": now, "free_bytes": free_bytes}
        conn.execute(insert_new(conn, disk_samples), row)


def read_disk(conn: Connection) -> Sequence[DiskSample]:
    """Give the samples, the oldest first."""
    rows = conn.execute(select(disk_samples).order_by(disk_samples.c.hour))
    return tuple(DiskSample(row.at, row.free_bytes) for row in rows)
