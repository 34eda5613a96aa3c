"""Earlier results of an image, for a new reading of it."""

import json
from collections.abc import Sequence

from sqlalchemy import Engine, literal_column, select

from dicom_node.domain.followup import History, ReadingKey, Sent, conclusion
from dicom_node.domain.study import InstanceRef
from dicom_node.storage.database.rows import AnyRow
from dicom_node.storage.database.schema import deliveries, objects, results
from dicom_node.storage.database.transactions import transaction
from dicom_node.storage.queue.transitions import ROW_ID

_SENT = (
    select(deliveries.c.destination, objects)
    .join_from(deliveries, objects, deliveries.c.object_id == objects.c.id)
    .where(deliveries.c.instance_id == ROW_ID, deliveries.c.state != literal_column("'cancelled'"))
    .order_by(objects.c.created_at.desc(), objects.c.id.desc())
)
_SAID = (
    select(results)
    .where(results.c.instance_id == ROW_ID, results.c.role == literal_column("'live'"))
    .order_by(results.c.created_at, results.c.id)
)


def history_of(engine: Engine, instance_id: int) -> History:
    """Tell what went out for an image and what was said of it."""
    with transaction(engine, writing=False) as conn:
        sent = conn.execute(_SENT, {"row_id": instance_id}).all()
        said = conn.execute(_SAID, {"row_id": instance_id}).all()
    latest = {row.pipeline: json.loads(row.findings) for row in said}
    return History(
        tuple(
            Sent(
                row.destination,
                row.slot,
                row.kind,
                InstanceRef(row.sop_class_uid, row.sop_instance_uid),
                row.series_uid,
                row.created_at,
            )
            for row in sent
        ),
        {
            pipeline: conclusion(findings)
            for pipeline, findings in latest.items()
            if findings["not_analysed"] is None
        },
        _generations(said),
    )


def _generations(said: Sequence[AnyRow]) -> dict[ReadingKey, int]:
    """Count on for each reader that was not the latest of its pipeline; `said` is in order."""
    latest_at = {row.pipeline: row.created_at for row in said}
    return {
        (row.pipeline, row.version, row.model_sha256, row.point): row.generation
        + (row.created_at < latest_at[row.pipeline])
        for row in said
    }
