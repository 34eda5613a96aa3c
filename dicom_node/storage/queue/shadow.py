"""What challengers said beside the models that serve."""

import json

from sqlalchemy import Engine, select

from dicom_node.domain.findings import Findings
from dicom_node.domain.operations.models import ModelRef, Pair, pairs_of
from dicom_node.storage.database.rows import insert_new
from dicom_node.storage.database.schema import instances, results
from dicom_node.storage.database.transactions import transaction
from dicom_node.storage.queue.results import result_row


def store_shadow(engine: Engine, instance_id: int, findings: Findings, now: float) -> None:
    """Keep a challenger's findings; nothing else follows from them."""
    with transaction(engine) as conn:
        conn.execute(insert_new(conn, results), result_row(instance_id, findings, now, "shadow"))


def read_by_both(engine: Engine, task: str, live: ModelRef, shadow: ModelRef) -> tuple[Pair, ...]:
    """Give what both models said, over the images that both have read.

    Of several operating points the first counts: challengers read at that one.
    """
    ours, theirs = results.alias("live"), results.alias("shadow")
    both = (
        select(instances.c.sop_instance_uid, ours.c.findings, theirs.c.findings)
        .join_from(ours, theirs, ours.c.instance_id == theirs.c.instance_id)
        .join(instances, instances.c.id == ours.c.instance_id)
        .order_by(ours.c.instance_id, ours.c.id, theirs.c.id)
    )
    for table, ref, role in ((ours, live, "live"), (theirs, shadow, "shadow")):
        both = both.where(
            table.c.pipeline == task,
            table.c.role == role,
            table.c.version == ref.version,
            table.c.model_sha256 == ref.sha256,
        )
    first: dict[str, tuple[Pair, ...]] = {}
    with transaction(engine, writing=False) as conn:
        for uid, said, challenged in conn.execute(both):
            if uid not in first:
                first[uid] = pairs_of(uid, json.loads(said), json.loads(challenged))
    return tuple(pair for pairs in first.values() for pair in pairs)
