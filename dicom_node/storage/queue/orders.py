"""Orders and patients in the database, and what they do to waiting jobs."""

from collections.abc import Sequence
from typing import Any, cast

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Row,
    and_,
    bindparam,
    delete,
    false,
    or_,
    select,
    update,
)

from dicom_node.domain.exchange.orders import (
    ImageKeys,
    Order,
    OrderMessage,
    OrderNumber,
    PatientKey,
    Registered,
    highest,
    same_patient,
)
from dicom_node.domain.study import Instance
from dicom_node.domain.work import PRIORITY_RANK, Priority, State
from dicom_node.storage.database.rows import ascii_json, key
from dicom_node.storage.database.schema import instances, jobs, orders, patients
from dicom_node.storage.database.transactions import transaction
from dicom_node.storage.queue.jobs import order_at
from dicom_node.storage.queue.patients import current_patient, merge, put_patient
from dicom_node.storage.queue.transitions import in_state

LOCK = 0x4F524452  # any number, the same in every process ("ORDR")

# built once: every image that comes asks this
_SAID = select(orders.c.priority).where(
    or_(
        orders.c.study_uid == bindparam("study_uid"),
        and_(orders.c.accession_number == bindparam("accession"), orders.c.accession_number != ""),
    ),
    ~orders.c.cancelled,
)


def store(engine: Engine, message: OrderMessage, now: float) -> int:
    """Write what a message says; gives how many waiting jobs it raises.

    Orders are committed before images are looked for, as images are before `raise_priority`
    looks for orders: of two that come at once the later one finds the other.
    """
    with transaction(engine) as conn:
        if conn.dialect.name == "postgresql":  # one message at a time, as SQLite has it
            conn.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")
        for patient in message.patients:
            put_patient(conn, patient, now)
        for noted in message.merges:
            merge(conn, noted, now)
        for order in message.orders:
            _put(conn, order, now)
    pressing = [
        (order, order.priority)
        for order in message.orders
        if order.priority and not order.cancelled
    ]
    if not pressing:
        return 0
    with transaction(engine) as conn:
        return sum(
            _raise_priority(conn, _images_of(order), priority) for order, priority in pressing
        )


def raise_priority(engine: Engine, instance: Instance) -> int:
    """Give an instance's waiting jobs the priority of its order; gives how many.

    To be called when its row is committed: an order that comes after that finds
    the jobs by itself, so none slips through between the two.
    """
    ours = {"study_uid": key(instance.study_uid), "accession": key(instance.accession_number)}
    with transaction(engine, writing=False) as conn:
        said = conn.execute(_SAID, ours)
        priority = highest(tuple(value for value in said.scalars() if value is not None))
    if priority is None:
        return 0
    with transaction(engine) as conn:
        uid = key(instance.ref.sop_instance_uid)
        return _raise_priority(conn, [instances.c.sop_instance_uid == uid], priority)


def registered(engine: Engine, keys: ImageKeys) -> Registered:
    """Say what is known of an image's order and patient.

    An order of another patient is not the image's, whatever its number says.
    """
    ours = _orders_of(keys.study_uid, keys.accession_number)
    for column, value in (
        (orders.c.placer_number, keys.placer_number),
        (orders.c.filler_number, keys.filler_number),
    ):
        ours += [column == key(value)] if value else []
    chosen = or_(false(), *ours)
    with transaction(engine, writing=False) as conn:
        rows = conn.execute(select(orders).where(chosen).order_by(orders.c.id)).all()
        patient = current_patient(conn, keys.patient)
        now_known_as = keys.patient if patient is None else patient.key
        fitting = [row for row in rows if _is_of(conn, row, now_known_as)]
    if not fitting:
        return Registered(patient=patient, contradicted=bool(rows))
    best = max(fitting, key=lambda row: (_closeness(row, keys), row.updated_at))
    return Registered(
        OrderNumber(best.placer_number, best.placer_namespace),
        OrderNumber(best.filler_number, best.filler_namespace),
        patient,
        None if best.cancelled else best.priority,
        contradicted=len(fitting) < len(rows),
    )


def prune(engine: Engine, before: float) -> int:
    """Forget orders and patients that no message named since `before`."""
    with transaction(engine) as conn:
        return sum(
            conn.execute(delete(table).where(table.c.updated_at < before)).rowcount
            for table in (orders, patients)
        )


def _orders_of(study_uid: str, accession: str) -> list[ColumnElement[bool]]:
    known = ((orders.c.study_uid, study_uid), (orders.c.accession_number, accession))
    return [column == key(value) for column, value in known if value]


def _is_of(conn: Connection, row: Row[Any], patient: PatientKey) -> bool:
    """Say whether an order can be the patient's; one of the two may not be known."""
    if not row.patient_id or not patient.patient_id:
        return True
    named = PatientKey(row.patient_id, row.patient_issuer)
    known = current_patient(conn, named)
    return same_patient(named if known is None else known.key, patient)


def _closeness(row: Row[Any], keys: ImageKeys) -> int:
    """Rank an order by which of its numbers is the image's, the study's UID first."""
    pairs = (
        (row.placer_number, keys.placer_number),
        (row.filler_number, keys.filler_number),
        (row.accession_number, keys.accession_number),
        (row.study_uid, keys.study_uid),
    )
    return sum(1 << place for place, (ours, its) in enumerate(pairs) if ours and ours == its)


def _put(conn: Connection, order: Order, now: float) -> None:
    """Write an order; what a later message leaves out stays."""
    said = {
        "accession_number": order.accession_number,
        "placer_number": order.placer.value,
        "placer_namespace": order.placer.namespace,
        "filler_number": order.filler.value,
        "filler_namespace": order.filler.namespace,
        "study_uid": order.study_uid,
        "patient_id": order.patient.patient_id,
        "patient_issuer": order.patient.issuer,
    }
    texts = {name: key(value) for name, value in said.items()}
    state = {"control": key(order.control), "cancelled": order.cancelled, "updated_at": now}
    ids = _known(conn, texts)
    if not ids:
        made = texts | state | {"priority": order.priority, "created_at": now}
        conn.execute(orders.insert().values(made))
        return
    news: dict[str, object] = {name: value for name, value in texts.items() if value}
    if order.priority is not None:
        news["priority"] = order.priority
    conn.execute(update(orders).where(orders.c.id.in_(ids)).values(news | state))


def _known(conn: Connection, texts: dict[str, str]) -> Sequence[int]:
    """Find the order's rows: several where a placer's order has several accessions."""
    accession, placer = texts["accession_number"], texts["placer_number"]
    by_placer = (orders.c.placer_number == placer) & (
        orders.c.placer_namespace == texts["placer_namespace"]
    )
    ways: list[ColumnElement[bool]] = []
    if accession:
        ways.append(orders.c.accession_number == accession)
        if placer:
            ways.append(by_placer & (orders.c.accession_number == ""))
    elif placer:
        ways.append(by_placer)
    else:
        ways.append(orders.c.study_uid == texts["study_uid"])
    for way in ways:
        ids = conn.execute(select(orders.c.id).where(way)).scalars().all()
        if ids:
            return ids
    return ()


def _images_of(order: Order) -> list[ColumnElement[bool]]:
    chosen: list[ColumnElement[bool]] = []
    if order.study_uid:
        chosen.append(instances.c.study_uid == key(order.study_uid))
    if order.accession_number:
        # only waiting jobs are looked at, so this reads few headers
        fragment = f'"accession_number":{ascii_json(order.accession_number)}'
        chosen.append(instances.c.header.contains(fragment, autoescape=True))
    return chosen


def _raise_priority(conn: Connection, chosen: list[ColumnElement[bool]], priority: Priority) -> int:
    """Raise the priority of waiting jobs, and never lower it; says of how many."""
    if not chosen:
        return 0
    waiting = (
        select(jobs.c.id, jobs.c.priority, jobs.c.created_at)
        .join_from(jobs, instances, jobs.c.instance_id == instances.c.id)
        .where(in_state(jobs, State.AVAILABLE), or_(*chosen))
        .order_by(jobs.c.id)  # so that two of these wait for each other in one direction
    )
    rank = PRIORITY_RANK[priority]
    rows = [
        row for row in conn.execute(waiting) if PRIORITY_RANK[cast(Priority, row.priority)] > rank
    ]
    for row in rows:
        raised = update(jobs).where(jobs.c.id == row.id, in_state(jobs, State.AVAILABLE))
        conn.execute(raised.values(priority=priority, order_at=order_at(row.created_at, priority)))
    return len(rows)
