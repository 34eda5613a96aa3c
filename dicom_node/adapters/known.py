"""Says which instances the node has seen already."""

from collections.abc import Sequence

from sqlalchemy import Engine, select

from dicom_node.adapters.queue_rows import key
from dicom_node.adapters.schema import instances, objects
from dicom_node.adapters.transactions import transaction

PART = 500
"""UIDs asked for at once; SQLite takes 32,766 parameters, older ones 999."""


def known_uids(engine: Engine, sop_instance_uids: Sequence[str]) -> set[str]:
    """Say which of the UIDs were received, or belong to a result of this node.

    A received instance stays known after its file has expired, until its row is
    pruned (retention.log_days). Raises TryAgain as `transaction`.
    """
    named = {key(uid): uid for uid in sop_instance_uids}
    keys, known = list(named), set[str]()
    with transaction(engine, writing=False) as conn:
        for start in range(0, len(keys), PART):
            for table in (instances, objects):
                column = table.c.sop_instance_uid
                found = select(column).where(column.in_(keys[start : start + PART]))
                known.update(named[one] for one in conn.execute(found).scalars())
    return known
