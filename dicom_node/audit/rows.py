"""What the database tells the audit trail of studies and files."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, Row, select
from sqlalchemy.sql import Select

from dicom_node.audit.events import TransferredInstances, sorted_by_class
from dicom_node.storage.database.schema import instances, objects
from dicom_node.storage.database.transactions import transaction


@dataclass(frozen=True, slots=True)
class Erasure:
    """Files of one study that are erased, and whether no image of it is left."""

    transferred: TransferredInstances
    whole: bool


def patient_of(engine: Engine, study_uid: str) -> str:
    """Give the patient identifier of a study; "" where it is not known."""
    found = select(instances.c.header).where(instances.c.study_uid == study_uid).limit(1)
    with transaction(engine, writing=False) as conn:
        header = conn.scalar(found)
    return "" if header is None else str(json.loads(header).get("patient_id", ""))


def erased_instances(engine: Engine, row_ids: Sequence[int]) -> tuple[Erasure, ...]:
    """Gather by study what was erased; call it when the rows say so."""
    chosen = select(instances.c.study_uid, instances.c.header).where(instances.c.id.in_(row_ids))
    return _gather(engine, chosen, images=True)


def erased_objects(engine: Engine, row_ids: Sequence[int]) -> tuple[Erasure, ...]:
    """Gather by study the result objects that were erased."""
    chosen = (
        select(
            instances.c.study_uid,
            instances.c.header,
            objects.c.sop_class_uid,
            objects.c.sop_instance_uid,
        )
        .join(instances, instances.c.id == objects.c.instance_id)
        .where(objects.c.id.in_(row_ids))
    )
    return _gather(engine, chosen, images=False)


def _gather(engine: Engine, chosen: Select[Any], *, images: bool) -> tuple[Erasure, ...]:
    studies: dict[tuple[str, str], list[tuple[str, str]]] = {}
    with transaction(engine, writing=False) as conn:
        for row in conn.execute(chosen):
            header = json.loads(row.header)
            key = row.study_uid, str(header.get("patient_id", ""))
            studies.setdefault(key, []).append(_ref(row, header, images=images))
        kept = select(instances.c.study_uid).where(
            instances.c.study_uid.in_([study_uid for study_uid, _ in studies]),
            instances.c.expired_at.is_(None),
        )
        left = set(conn.scalars(kept)) if images else {study_uid for study_uid, _ in studies}
    return tuple(
        Erasure(
            TransferredInstances(study_uid, patient_id, sorted_by_class(refs)),
            study_uid not in left,
        )
        for (study_uid, patient_id), refs in studies.items()
    )


def _ref(row: Row[Any], header: dict[str, Any], *, images: bool) -> tuple[str, str]:
    if images:
        return header["ref"]["sop_class_uid"], header["ref"]["sop_instance_uid"]
    return row.sop_class_uid or "", row.sop_instance_uid
