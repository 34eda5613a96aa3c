"""The tables of storage commitment."""

from sqlalchemy import BigInteger, Column, Double, Integer, Table, Text

from dicom_node.adapters.schema import metadata

_Number = BigInteger().with_variant(Integer, "sqlite")

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
