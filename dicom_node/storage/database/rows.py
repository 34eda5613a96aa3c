"""Turns domain values into rows and back."""

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, fields
from typing import Any, cast

from sqlalchemy import Connection, Row, Table
from sqlalchemy.dialects import postgresql, sqlite

from dicom_node.domain.study import Instance, InstanceRef, Orientation
from dicom_node.domain.work import Arrival, Delivery, Job, ObjectKind, Protocol, StoredFile

AnyRow = Row[*tuple[Any, ...]]

LONGEST_KEY = 200
"""An indexed text; a Postgres index entry holds at most 2,704 bytes."""
LONGEST_WORDS = 500


def insert_into(conn: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """Start an INSERT that knows ON CONFLICT, which each dialect has for itself."""
    return sqlite.insert(table) if conn.dialect.name == "sqlite" else postgresql.insert(table)


def insert_new(conn: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """Start an INSERT that leaves a row with the same key as it is."""
    return insert_into(conn, table).on_conflict_do_nothing()


def upsert(
    conn: Connection,
    table: Table,
    rows: dict[str, Any] | list[dict[str, Any]],
    latest: Collection[str] | dict[str, Any],
    known_by: Sequence[str] = (),
) -> None:
    """Insert rows; one that is there already takes over the `latest` columns.

    `latest` names them, or gives values for them. A row is known by the primary key, or
    by the unique columns `known_by`.
    """
    insert = insert_into(conn, table)
    known_by = known_by or [column.name for column in table.primary_key]
    if not isinstance(latest, dict):
        latest = {name: insert.excluded[name] for name in latest}
    conn.execute(insert.on_conflict_do_update(index_elements=known_by, set_=latest), rows)


def plain(text: str) -> str:
    """Spell out what a database cannot store as text: NUL and lone surrogates."""
    if text.isascii():
        return text.replace("\0", "\\x00")
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def key(text: str) -> str:
    """Make `text`, perhaps malformed and of any length, fit for an index."""
    text = plain(text)
    if len(text) <= LONGEST_KEY:
        return text
    return f"{text[:100]}...{hashlib.sha256(text.encode()).hexdigest()}"


def clip(words: str) -> str:
    """Make words fit for a row."""
    return plain(words)[:LONGEST_WORDS]


def arrival_row(arrival: Arrival) -> dict[str, object]:
    """Describe an arrival as a row of `instances`."""
    return {
        "sop_instance_uid": key(arrival.instance.ref.sop_instance_uid),
        "study_uid": key(arrival.instance.study_uid),
        "header": header_json(arrival.instance),
        "file_key": arrival.file.key,
        "file_sha256": arrival.file.sha256,
        "file_size": arrival.file.size,
        "calling_ae": key(arrival.calling_ae),
        "called_ae": plain(arrival.called_ae),
        "host": plain(arrival.host),
        "received_at": arrival.received_at,
    }


def arrival_from(row: AnyRow) -> Arrival:
    """Rebuild an arrival from its row."""
    return Arrival(
        instance=instance_from(row.header),
        file=file_from(row),
        calling_ae=row.calling_ae,
        called_ae=row.called_ae,
        host=row.host,
        received_at=row.received_at,
    )


def header_json(instance: Instance) -> str:
    """Write an instance's facts as ASCII JSON, which keeps even malformed text."""
    return json.dumps(asdict(instance), separators=(",", ":"))


def instance_from(header: str) -> Instance:
    """Rebuild an instance, also one that an earlier version wrote."""
    facts: dict[str, Any] = json.loads(header)
    known = {field.name for field in fields(Instance)}
    facts = {name: value for name, value in facts.items() if name in known}
    facts["ref"] = InstanceRef(**facts["ref"])
    if facts.get("orientation") is not None:
        facts["orientation"] = Orientation(**facts["orientation"])
    facts["deviations"] = tuple(facts.get("deviations", ()))
    return Instance(**facts)


def file_from(row: AnyRow) -> StoredFile:
    """Rebuild a stored file from any row that has one."""
    return StoredFile(row.file_key, row.file_sha256, row.file_size)


def job_from(row: AnyRow) -> Job:
    """Rebuild a job from a row with id, pipeline, routes and attempt."""
    return Job(row.id, row.pipeline, tuple(json.loads(row.routes)), row.attempt)


def delivery_from(row: AnyRow) -> Delivery:
    """Rebuild a delivery from its row joined with its object's."""
    return Delivery(
        id=row.id,
        destination=row.destination,
        protocol=cast(Protocol, row.protocol),
        attempt=row.attempt,
        kind=cast(ObjectKind, row.kind),
        sop_class_uid=row.sop_class_uid,
        sop_instance_uid=row.sop_instance_uid,
        study_uid=row.study_uid,
        file=file_from(row),
    )


def ascii_json(value: Sequence[object] | dict[str, object]) -> str:
    """Write JSON that any database stores."""
    return json.dumps(value, separators=(",", ":"))


def one_or_many(rows: list[dict[str, object]]) -> dict[str, object] | list[dict[str, object]]:
    """Give a single row by itself, which the drivers run faster than a list of one."""
    return rows[0] if len(rows) == 1 else rows
