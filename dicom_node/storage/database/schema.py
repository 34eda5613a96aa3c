"""The tables as the newest migration leaves them."""

from sqlalchemy import BigInteger, Boolean, Column, Double, Integer, MetaData, Table, Text

metadata = MetaData()

_Number = BigInteger().with_variant(Integer, "sqlite")

instances = Table(
    "instances",
    metadata,
    Column("id", _Number, primary_key=True),
    Column("sop_instance_uid", Text, nullable=False),
    Column("study_uid", Text, nullable=False),
    Column("header", Text, nullable=False),
    Column("file_key", Text, nullable=False),
    Column("file_sha256", Text, nullable=False),
    Column("file_size", _Number, nullable=False),
    Column("calling_ae", Text, nullable=False),
    Column("called_ae", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("received_at", Double, nullable=False),
    Column("outcome", Text),
    Column("expired_at", Double),
    Column("counted", Integer, nullable=False, server_default="0"),
)
"""`header` is the Instance as JSON; `outcome` is NULL while jobs are unfinished."""

jobs = Table(
    "jobs",
    metadata,
    Column("id", _Number, primary_key=True),
    Column("instance_id", _Number, nullable=False),
    Column("pipeline", Text, nullable=False),
    Column("routes", Text, nullable=False),
    Column("priority", Text, nullable=False),
    Column("order_at", Double, nullable=False),
    Column("due_at", Double, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("deaths", Integer, nullable=False),
    Column("worker", Text),
    Column("lease_until", Double),
    Column("claim_token", Text),
    Column("last_error", Text),
    Column("created_at", Double, nullable=False),
    Column("claimed_at", Double),
    Column("finished_at", Double),
    Column("counted", Integer, nullable=False, server_default="0"),
)
"""`order_at` sorts claims (ageing folded in); `claim_token` tells one claim from the next."""

results = Table(
    "results",
    metadata,
    Column("id", _Number, primary_key=True),
    Column("instance_id", _Number, nullable=False),
    Column("pipeline", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("model_sha256", Text, nullable=False),
    Column("role", Text, nullable=False, server_default="live"),
    Column("point", Text, nullable=False, server_default=""),
    Column("findings", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("generation", Integer, nullable=False, server_default="0"),
)
"""`findings` is `findings_as_json` of one pipeline, judged at the operating points
`point`; `role` is "live", or "shadow" for a challenger's, of which nothing is sent.
`created_at` is the time of the latest such reading."""

objects = Table(
    "objects",
    metadata,
    Column("id", _Number, primary_key=True),
    Column("instance_id", _Number, nullable=False),
    Column("kind", Text, nullable=False),
    Column("sop_class_uid", Text, nullable=False),
    Column("sop_instance_uid", Text, nullable=False),
    Column("series_uid", Text, nullable=False),
    Column("file_key", Text, nullable=False),
    Column("file_sha256", Text, nullable=False),
    Column("file_size", _Number, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expired_at", Double),
    Column("slot", Text, nullable=False, server_default=""),
)
"""`slot` is the same for what later readings of an image put in an object's place."""

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", _Number, primary_key=True),
    Column("object_id", _Number, nullable=False),
    Column("instance_id", _Number, nullable=False),
    Column("study_uid", Text, nullable=False),
    Column("destination", Text, nullable=False),
    Column("protocol", Text, nullable=False),
    Column("priority", Text, nullable=False),
    Column("after_objects", Boolean, nullable=False),
    Column("order_at", Double, nullable=False),
    Column("due_at", Double, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("deaths", Integer, nullable=False),
    Column("worker", Text),
    Column("lease_until", Double),
    Column("claim_token", Text),
    Column("last_error", Text),
    Column("acknowledged", Text),
    Column("created_at", Double, nullable=False),
    Column("claimed_at", Double),
    Column("finished_at", Double),
    Column("counted", Integer, nullable=False, server_default="0"),
)

escalations = Table(
    "escalations",
    metadata,
    Column("id", _Number, primary_key=True),
    Column("instance_id", _Number, nullable=False),
    Column("study_uid", Text, nullable=False),
    Column("message_id", _Number, nullable=False),
    Column("place", Integer, nullable=False),
    Column("object_id", _Number, nullable=False),
    Column("destination", Text, nullable=False),
    Column("due_at", Double, nullable=False),
    Column("fate", Text, nullable=False),
    Column("created_at", Double, nullable=False),
)
"""Messages (`object_id`) that go out in this order when another (`message_id`, also an
object) is not acknowledged; `fate` is "waiting", "sent" (a delivery) or "called off"."""

alarms = Table(
    "alarms",
    metadata,
    Column("id", _Number, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("words", Text, nullable=False),
    Column("times", Integer, nullable=False),
    Column("first_at", Double, nullable=False),
    Column("last_at", Double, nullable=False),
    Column("closed_at", Double),
)

callers = Table(
    "callers",
    metadata,
    Column("ae", Text, primary_key=True),
    Column("host", Text, primary_key=True),
    Column("times", Integer, nullable=False),
    Column("first_at", Double, nullable=False),
    Column("last_at", Double, nullable=False),
)
"""Unknown callers that knocked (receive.unknown_callers = "learn")."""

approved_callers = Table(
    "approved_callers",
    metadata,
    Column("ae", Text, primary_key=True),
    Column("host", Text, primary_key=True),
    Column("approved_at", Double, nullable=False),
)
"""Callers that a person let in: they may send like a peer."""

capabilities = Table(
    "capabilities",
    metadata,
    Column("destination", Text, primary_key=True),
    Column("sop_class_uid", Text, primary_key=True),
    Column("syntaxes", Text, nullable=False),
    Column("asked_at", Double, nullable=False),
)
"""What each destination takes; `syntaxes` is JSON, empty where it takes the class not at all."""

replacements = Table(
    "replacements",
    metadata,
    Column("destination", Text, primary_key=True),
    Column("wanted", Text, primary_key=True),
    Column("sent", Text, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("first_at", Double, nullable=False),
    Column("last_at", Double, nullable=False),
)
"""Plainer objects that went out in place of what a route asks for."""

orders = Table(
    "orders",
    metadata,
    Column("id", _Number, primary_key=True),
    Column("accession_number", Text, nullable=False),
    Column("placer_number", Text, nullable=False),
    Column("placer_namespace", Text, nullable=False),
    Column("filler_number", Text, nullable=False),
    Column("filler_namespace", Text, nullable=False),
    Column("study_uid", Text, nullable=False),
    Column("patient_id", Text, nullable=False),
    Column("patient_issuer", Text, nullable=False),
    Column("priority", Text),
    Column("control", Text, nullable=False),
    Column("cancelled", Boolean, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
)
"""Orders heard by HL7; `control` is the last ORC-1, an unknown number is empty."""

patients = Table(
    "patients",
    metadata,
    Column("patient_id", Text, primary_key=True),
    Column("issuer", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("birth_date", Text, nullable=False),
    Column("sex", Text, nullable=False),
    Column("merged_into", Text, nullable=False),
    Column("merged_issuer", Text, nullable=False),
    Column("updated_at", Double, nullable=False),
)
"""Patients as HL7 corrected them; `name` is in DICOM's form."""

tallies = Table(
    "tallies",
    metadata,
    Column("name", Text, primary_key=True),
    Column("labels", Text, primary_key=True),
    Column("value", Double, nullable=False),
)
"""Counters that only grow; `counted` of a row says what of it stands here.

An instance: 0 nothing, 1 its receipt, 2 its outcome too; a job or delivery: 1 its end.
"""

heartbeats = Table(
    "heartbeats",
    metadata,
    Column("worker", Text, primary_key=True),
    Column("role", Text, nullable=False),
    Column("started_at", Double, nullable=False),
    Column("last_at", Double, nullable=False),
    Column("resident_bytes", _Number, nullable=False),
    Column("open_files", Integer, nullable=False),
    Column("models", Text, nullable=False),
    Column("gpus", Text, nullable=False, server_default="[]"),
)
"""The last sign of life of each process; `models` and `gpus` are JSON, what a
worker reads with."""

disk_samples = Table(
    "disk_samples",
    metadata,
    Column("hour", _Number, primary_key=True),
    Column("at", Double, nullable=False),
    Column("free_bytes", _Number, nullable=False),
)

score_references = Table(
    "score_references",
    metadata,
    Column("pipeline", Text, primary_key=True),
    Column("version", Text, primary_key=True),
    Column("model_sha256", Text, primary_key=True),
    Column("finding", Text, primary_key=True),
    Column("scores", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("psi", Double),
    Column("measured_at", Double),
)
"""What each model's scores are compared with; `scores` is JSON, sorted probabilities."""

schema_version = Table(
    "schema_version",
    metadata,
    Column("version", Integer, primary_key=True),
    Column("applied_at", Double, nullable=False),
)


commitments = Table(
    "commitments",
    metadata,
    Column("id", _Number, primary_key=True),
    Column("delivery_id", _Number, nullable=False),
    Column("object_id", _Number, nullable=False),
    Column("instance_id", _Number, nullable=False),
    Column("destination", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("asked", Integer, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("transaction_uid", Text),
    Column("due_at", Double, nullable=False),
    Column("sent_at", Double, nullable=False),
    Column("settled_at", Double),
    Column("words", Text),
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
    Column("transaction_uid", Text, primary_key=True),
    Column("destination", Text, nullable=False),
    Column("objects", Integer, nullable=False),
    Column("asked_at", Double, nullable=False),
    Column("heard_at", Double),
)
"""Every transaction, so that a late report is known too."""
