"""The tables as the newest migration leaves them.

Keys, defaults and checks are the migrations' own; queries need names and types.
"""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Double, Integer, MetaData, Table, Text
from sqlalchemy.types import TypeEngine

metadata = MetaData()

_Number = BigInteger().with_variant(Integer, "sqlite")
_Type = type[TypeEngine[Any]] | TypeEngine[Any]
_Columns = Iterator[Column[Any]]


def _key(kind: _Type, *names: str) -> _Columns:
    return (Column(name, kind, primary_key=True) for name in names)


def _set(kind: _Type, *names: str) -> _Columns:
    return (Column(name, kind, nullable=False) for name in names)


def _null(kind: _Type, *names: str) -> _Columns:
    return (Column(name, kind) for name in names)


def _life() -> _Columns:
    """Give what a job and a delivery have in common.

    `order_at` sorts claims (ageing folded in); `claim_token` tells one claim from the next.
    """
    yield from _set(Text, "priority", "state")
    yield from _set(Double, "order_at", "due_at", "created_at")
    yield from _set(Integer, "attempt", "deaths", "counted")
    yield from _null(Text, "worker", "claim_token", "last_error")
    yield from _null(Double, "lease_until", "claimed_at", "finished_at")


instances = Table(
    "instances",
    metadata,
    *_key(_Number, "id"),
    *_set(Text, "sop_instance_uid", "study_uid", "header", "calling_ae", "called_ae", "host"),
    *_set(Text, "file_key", "file_sha256"),
    *_set(_Number, "file_size"),
    *_set(Double, "received_at"),
    *_null(Text, "outcome"),
    *_null(Double, "expired_at"),
    *_set(Integer, "counted"),
)
"""`header` is the Instance as JSON; `outcome` is NULL while jobs are unfinished."""

jobs = Table(
    "jobs",
    metadata,
    *_key(_Number, "id"),
    *_set(_Number, "instance_id"),
    *_set(Text, "pipeline", "routes"),
    *_life(),
)

results = Table(
    "results",
    metadata,
    *_key(_Number, "id"),
    *_set(_Number, "instance_id"),
    *_set(Text, "pipeline", "version", "model_sha256", "role", "point", "findings"),
    *_set(Double, "created_at"),
    *_set(Integer, "generation"),
)
"""`findings` is `findings_as_json` of one pipeline, judged at the operating points
`point`; `role` is "live", or "shadow" for a challenger's, of which nothing is sent.
`created_at` is the time of the latest such reading."""

objects = Table(
    "objects",
    metadata,
    *_key(_Number, "id"),
    *_set(_Number, "instance_id", "file_size"),
    *_set(Text, "kind", "sop_class_uid", "sop_instance_uid", "series_uid", "slot"),
    *_set(Text, "file_key", "file_sha256"),
    *_set(Double, "created_at"),
    *_null(Double, "expired_at"),
)
"""`slot` is the same for what later readings of an image put in an object's place."""

deliveries = Table(
    "deliveries",
    metadata,
    *_key(_Number, "id"),
    *_set(_Number, "object_id", "instance_id"),
    *_set(Text, "study_uid", "destination", "protocol"),
    *_set(Boolean, "after_objects"),
    *_null(Text, "acknowledged"),
    *_life(),
)

escalations = Table(
    "escalations",
    metadata,
    *_key(_Number, "id"),
    *_set(_Number, "instance_id", "message_id", "object_id"),
    *_set(Text, "study_uid", "destination", "fate"),
    *_set(Integer, "place"),
    *_set(Double, "due_at", "created_at"),
)
"""Messages (`object_id`) that go out in this order when another (`message_id`, also an
object) is not acknowledged; `fate` is "waiting", "sent" (a delivery) or "called off"."""

alarms = Table(
    "alarms",
    metadata,
    *_key(_Number, "id"),
    *_set(Text, "kind", "words"),
    *_set(Integer, "times"),
    *_set(Double, "first_at", "last_at"),
    *_null(Double, "closed_at"),
)

callers = Table(
    "callers",
    metadata,
    *_key(Text, "ae", "host"),
    *_set(Integer, "times"),
    *_set(Double, "first_at", "last_at"),
)
"""Unknown callers that were turned away (receive.unknown_callers = "learn")."""

approved_callers = Table(
    "approved_callers", metadata, *_key(Text, "ae", "host"), *_set(Double, "approved_at")
)
"""Callers that a person let in: they may send like a peer."""

capabilities = Table(
    "capabilities",
    metadata,
    *_key(Text, "destination", "sop_class_uid"),
    *_set(Text, "syntaxes"),
    *_set(Double, "asked_at"),
)
"""What each destination takes; `syntaxes` is JSON, empty where it takes the class not at all."""

replacements = Table(
    "replacements",
    metadata,
    *_key(Text, "destination", "wanted", "sent"),
    *_set(Text, "reason"),
    *_set(Double, "first_at", "last_at"),
)
"""Plainer objects that went out in place of what a route asks for."""

orders = Table(
    "orders",
    metadata,
    *_key(_Number, "id"),
    *_set(Text, "accession_number", "placer_number", "placer_namespace"),
    *_set(Text, "filler_number", "filler_namespace"),
    *_set(Text, "study_uid", "patient_id", "patient_issuer", "control"),
    *_null(Text, "priority"),
    *_set(Boolean, "cancelled"),
    *_set(Double, "created_at", "updated_at"),
)
"""Orders received by HL7; `control` is the last ORC-1, an unknown number is empty."""

patients = Table(
    "patients",
    metadata,
    *_key(Text, "patient_id", "issuer"),
    *_set(Text, "name", "birth_date", "sex", "merged_into", "merged_issuer"),
    *_set(Double, "updated_at"),
)
"""Patients as HL7 corrected them; `name` is in DICOM's form."""

tallies = Table("tallies", metadata, *_key(Text, "name", "labels"), *_set(Double, "value"))
"""Counters that only grow; `counted` of a row says what of it stands here.

An instance: 0 nothing, 1 its receipt, 2 its outcome too; a job or delivery: 1 its end.
"""

heartbeats = Table(
    "heartbeats",
    metadata,
    *_key(Text, "worker"),
    *_set(Text, "role", "models", "gpus"),
    *_set(Double, "started_at", "last_at"),
    *_set(_Number, "resident_bytes"),
    *_set(Integer, "open_files"),
)
"""The last sign of life of each process; `models` and `gpus` are JSON, what a
worker reads with."""

disk_samples = Table(
    "disk_samples",
    metadata,
    *_key(_Number, "hour"),
    *_set(Double, "at"),
    *_set(_Number, "free_bytes"),
)

score_references = Table(
    "score_references",
    metadata,
    *_key(Text, "pipeline", "version", "model_sha256", "finding"),
    *_set(Text, "scores"),
    *_set(Double, "created_at"),
    *_null(Double, "psi", "measured_at"),
)
"""What each model's scores are compared with; `scores` is JSON, sorted probabilities."""

schema_version = Table(
    "schema_version", metadata, *_key(Integer, "version"), *_set(Double, "applied_at")
)

archive_identity = Table(
    "archive_identity", metadata, *_key(Text, "identity"), *_set(Double, "noted_at")
)
"""At most one row: the word that stands in the archive of this database."""

commitments = Table(
    "commitments",
    metadata,
    *_key(_Number, "id"),
    *_set(_Number, "delivery_id", "object_id", "instance_id"),
    *_set(Text, "destination", "state"),
    *_set(Integer, "asked", "failures"),
    *_set(Double, "due_at", "sent_at"),
    *_null(Text, "transaction_uid", "words"),
    *_null(Double, "settled_at"),
)
"""What a peer took and must commit to, one row per delivery.

`state` is "due" (to be asked about), "asked", "sending" (missing, so delivered anew),
"committed", "given up" (its delivery is a dead letter) or "called off" (the peer is no
longer asked); `asked` counts requests that the peer took, `failures` those in a row that
it did not; `sent_at` is when it last took the object.
"""

commitment_requests = Table(
    "commitment_requests",
    metadata,
    *_key(Text, "transaction_uid"),
    *_set(Text, "destination"),
    *_set(Integer, "objects"),
    *_set(Double, "asked_at"),
    *_null(Double, "heard_at"),
)
"""Every transaction, so that a late report is known too."""
