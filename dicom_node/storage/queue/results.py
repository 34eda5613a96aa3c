"""What finished jobs leave behind: findings, objects, deliveries."""

from dataclasses import asdict

from sqlalchemy import Connection, Insert

from dicom_node.domain.findings import Findings, findings_as_json
from dicom_node.domain.work import Claim, Outcome
from dicom_node.storage.database.rows import (
    ascii_json,
    insert_into,
    insert_new,
    key,
    one_or_many,
    plain,
    upsert,
)
from dicom_node.storage.database.schema import deliveries, objects, replacements, results
from dicom_node.storage.queue import escalation
from dicom_node.storage.queue.deliveries import new_row, object_ids
from dicom_node.storage.queue.jobs import record_analysed, record_not_analysed
from dicom_node.storage.queue.transitions import raise_alarm

FILE_COLUMNS = ("file_key", "file_sha256", "file_size")
READING = ("instance_id", "pipeline", "version", "model_sha256", "role", "point")
"""What a row of `results` is known by."""


def write(conn: Connection, held: Claim, outcome: Outcome, now: float) -> None:
    """Write an outcome; what exists already stays as it is."""
    instance_id = held.instance_id
    if outcome.findings:
        rows = [result_row(instance_id, findings, now) for findings in outcome.findings]
        # two routes may name the same operating point: one row may not be written twice at once
        once = {tuple(row[name] for name in READING): row for row in rows}
        # what a repeated reading found stays; it is the latest now, in its generation
        rows = list(once.values())
        upsert(conn, results, one_or_many(rows), ("created_at", "generation"), READING)
    if outcome.objects:
        conn.execute(_insert_objects(conn), _object_rows(instance_id, outcome, now))
    if outcome.deliveries:
        conn.execute(insert_new(conn, deliveries), _delivery_rows(conn, held, outcome, now))
    escalation.record_escalations(conn, held, outcome, now)
    for replacement in outcome.replaced:
        row = {
            **asdict(replacement),
            "destination": key(replacement.destination),
            "first_at": now,
            "last_at": now,
        }
        upsert(conn, replacements, row, ("reason", "last_at"))
    for words in outcome.not_made:
        study_uid = held.arrival.instance.study_uid
        raise_alarm(conn, "object_not_made", f"study {study_uid}: {words}", now)
    reasons = [f.not_analysed for f in outcome.findings if f.not_analysed is not None]
    if len(reasons) < len(outcome.findings):
        record_analysed(conn, instance_id)
    else:
        reason = "; ".join(dict.fromkeys(reasons)) or "no pipeline answered"
        record_not_analysed(conn, [instance_id], reason)


def result_row(
    instance_id: int, findings: Findings, now: float, role: str = "live"
) -> dict[str, object]:
    """Describe findings as a row of `results`; `role` is "live" or "shadow"."""
    return {
        "instance_id": instance_id,
        "pipeline": findings.algorithm.name,
        "version": findings.algorithm.version,
        "model_sha256": findings.algorithm.model_sha256,
        "role": role,
        "point": key(", ".join(findings.points)),
        "findings": ascii_json(findings_as_json(findings)),
        "created_at": now,
        "generation": findings.generation,
    }


def _insert_objects(conn: Connection) -> Insert:
    """Leave an object that is known as it is, unless its file has gone since."""
    insert = insert_into(conn, objects)
    fresh = {name: insert.excluded[name] for name in (*FILE_COLUMNS, "created_at")}
    return insert.on_conflict_do_update(
        index_elements=["sop_instance_uid"],
        set_=fresh | {"expired_at": None},
        where=objects.c.expired_at.is_not(None),
    )


def _object_rows(instance_id: int, outcome: Outcome, now: float) -> list[dict[str, object]]:
    return [
        {
            "instance_id": instance_id,
            "kind": made.kind,
            "sop_class_uid": plain(made.sop_class_uid),
            "sop_instance_uid": key(made.sop_instance_uid),
            "series_uid": plain(made.series_uid),
            "file_key": file.key,
            "file_sha256": file.sha256,
            "file_size": file.size,
            "created_at": now,
            "slot": plain(made.slot),
        }
        for made, file in outcome.objects
    ]


def _delivery_rows(
    conn: Connection, held: Claim, outcome: Outcome, now: float
) -> list[dict[str, object]]:
    ids = object_ids(conn, (delivery.sop_instance_uid for delivery in outcome.deliveries))
    whose = {"instance_id": held.instance_id, "study_uid": key(held.arrival.instance.study_uid)}
    return [
        new_row(delivery.destination, delivery.protocol, delivery.priority, now)
        | whose
        # an object that does not exist gives NULL, which the table refuses
        | {
            "after_objects": delivery.after_objects,
            "object_id": ids.get(key(delivery.sop_instance_uid)),
        }
        for delivery in outcome.deliveries
    ]
