"""The objects that peers must commit to, in the database."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Connection,
    Engine,
    Row,
    Select,
    case,
    delete,
    exists,
    func,
    literal_column,
    select,
    update,
)

from dicom_node.domain.exchange.commitment import (
    ASK_RETRY,
    MOST_ASKED,
    SEND_RETRY,
    CommitmentOutcome,
    Report,
    Request,
    patience_s,
    reason_words,
    remedy,
)
from dicom_node.domain.study import InstanceRef
from dicom_node.domain.work import Acknowledgement, Event
from dicom_node.storage.database.rows import clip, key, plain, upsert
from dicom_node.storage.database.schema import commitment_requests, commitments, deliveries, objects
from dicom_node.storage.database.transactions import transaction
from dicom_node.storage.queue.deliveries import raise_dead_letter_alarm
from dicom_node.storage.queue.transitions import close_alarms, raise_alarm, step

LARGEST_REQUEST = 500
"""Objects of one transaction."""
HOLD_S = 300.0
"""For one request to be sent; then its process has died and it is asked again."""
PATIENT = 5
"""Requests in a row that a peer may leave untaken before an alarm."""

_ID = commitments.c.id
_OPEN = commitments.c.state.in_([literal_column("'due'"), literal_column("'asked'")])
_later, _its = objects.alias("later"), deliveries.alias("its")
_REPLACED = exists().where(
    _later.c.instance_id == objects.c.instance_id,
    _later.c.slot == objects.c.slot,
    _later.c.id > objects.c.id,
    # a later rejection note rejects another document
    objects.c.slot != "",
    objects.c.kind != "rejection",
    _its.c.object_id == _later.c.id,
    _its.c.destination == commitments.c.destination,
)
"""Whether the peer gets what a later reading put in the object's place."""
_SENT = (
    select(commitments, objects.c.sop_class_uid, objects.c.sop_instance_uid)
    .join_from(commitments, objects, commitments.c.object_id == objects.c.id)
    .where(_OPEN)
    .order_by(commitments.c.due_at, _ID)
)


def request_commitment_later(
    conn: Connection, arrived: Sequence[Acknowledgement], now: float
) -> None:
    """Note that a committing peer has taken objects: it is to be asked about them."""
    taken = select(
        deliveries.c.id.label("delivery_id"),
        *deliveries.c["object_id", "instance_id", "destination"],
    ).where(deliveries.c.id.in_([acknowledgement.delivery_id for acknowledgement in arrived]))
    for row in conn.execute(taken).all():
        fresh = {"state": "due", "asked": 0, "failures": 0, "due_at": 0.0, "sent_at": now}
        # who retries a dead letter gives it all its chances again
        count = case((commitments.c.state == "given up", 0), else_=commitments.c.asked)
        again = fresh | {"asked": count, "settled_at": None}
        upsert(conn, commitments, fresh | dict(row._mapping), again, ("delivery_id",))


@dataclass(frozen=True, slots=True)
class SqlCommitments:
    """`domain.commitment.CommitmentBook` over one engine."""

    engine: Engine

    def ask(self, destination: str, now: float) -> Request | None:
        """Open a transaction about what is due; what was asked too often is given up."""
        waiting = due(destination, now)
        with transaction(self.engine, writing=False) as conn:
            if conn.execute(waiting.limit(1)).first() is None:
                return None
        with transaction(self.engine) as conn:
            locked = waiting.limit(LARGEST_REQUEST).with_for_update(
                of=commitments, skip_locked=True
            )
            going = []
            for row in conn.execute(locked).all():
                if row.state == "asked" and row.asked >= MOST_ASKED:
                    _give_up(conn, row, f"not committed: asked {row.asked} times, no report", now)
                else:
                    going.append(row)
            return _open_request(conn, destination, going, now) if going else None

    def asked(self, request: Request, now: float, timeout_s: float) -> None:
        """Note that the peer took the request: wait for its report."""
        with transaction(self.engine) as conn:
            for row in _of(conn, request):
                waits = {"due_at": now + patience_s(timeout_s, row.asked), "failures": 0}
                conn.execute(update(commitments).where(commitments.c.id == row.id).values(waits))
            close_alarms(conn, _not_asked(request.destination), now)

    def not_asked(self, request: Request, words: str, now: float) -> None:
        """Note that it did not: the objects are due again after a pause."""
        with transaction(self.engine) as conn:
            for row in _of(conn, request):
                failures = row.failures + 1
                if failures >= ASK_RETRY.attempts:
                    _give_up(conn, row, f"not committed: {words}", now)
                    continue
                later = {"due_at": now + ASK_RETRY.pause_s(failures), "state": "due"}
                later |= {"asked": row.asked - 1, "failures": failures, "words": clip(words)}
                conn.execute(update(commitments).where(commitments.c.id == row.id).values(later))
                if failures == PATIENT:
                    said = f"{request.destination} takes no request for storage commitment"
                    raise_alarm(conn, _not_asked(request.destination), said, now)

    def record_report(
        self, report: Report, destinations: Sequence[str], now: float
    ) -> CommitmentOutcome | None:
        """Take a report of one of `destinations`; None for no transaction of theirs."""
        uid = key(report.transaction_uid)
        known = commitment_requests.c.transaction_uid == uid
        with transaction(self.engine) as conn:
            request = conn.execute(
                select(commitment_requests).where(
                    known, commitment_requests.c.destination.in_(list(destinations))
                )
            ).first()
            if request is None:
                return None
            reasons = {key(ref): reason for ref, reason in report.missing}
            named = sorted({key(ref) for ref in report.kept} | set(reasons))
            rows = conn.execute(
                _SENT.add_columns(_REPLACED.label("replaced"))
                .where(
                    commitments.c.destination == request.destination,
                    # no request of ours names more
                    objects.c.sop_instance_uid.in_(named[: 2 * LARGEST_REQUEST]),
                )
                .with_for_update(of=commitments)
            ).all()
            tally = _Tally()
            for row in rows:
                reason = reasons.get(row.sop_instance_uid)
                # an earlier transaction's answer still counts where the object was there then
                if reason is None and row.sent_at <= request.asked_at:
                    _commit(conn, row, uid, now)
                    tally.committed += 1
                elif reason is not None and row.transaction_uid == uid and row.replaced:
                    _call_off(conn, row, reason, now)
                elif reason is not None and row.transaction_uid == uid:
                    tally.note(_send_again(conn, row, reason, now))
            conn.execute(
                update(commitment_requests)
                .where(known)
                .values(heard_at=func.coalesce(commitment_requests.c.heard_at, now))
            )
            if tally.committed:
                close_alarms(conn, _not_committed(request.destination), now)
            return CommitmentOutcome(tally.committed, tally.again, tally.given_up)

    def tidy(self, committing: Collection[str], before: float) -> int:
        """Release what waits for peers that are no longer asked; forget old transactions."""
        waiting = commitments.c.state.in_(["due", "asked", "sending"])
        strange = commitments.c.destination.not_in(list(committing))
        found = select(_ID).where(waiting, strange).limit(1)
        old = commitment_requests.c.asked_at < before
        with transaction(self.engine, writing=False) as conn:
            oldest = select(commitment_requests.c.transaction_uid).where(old).limit(1)
            if conn.scalar(found) is None and conn.scalar(oldest) is None:
                return 0
        with transaction(self.engine) as conn:
            conn.execute(delete(commitment_requests).where(old))
            release = update(commitments).where(waiting, strange).values(state="called off")
            return conn.execute(release).rowcount


@dataclass(slots=True)
class _Tally:
    committed: int = 0
    again: int = 0
    given_up: int = 0

    def note(self, mended: bool) -> None:
        """Count what is not committed."""
        if mended:
            self.again += 1
        else:
            self.given_up += 1


def due(destination: str, now: float) -> Select[Any]:
    """Find what a peer is to be asked about, the longest due first."""
    return _SENT.where(commitments.c.destination == plain(destination), commitments.c.due_at <= now)


def _open_request(
    conn: Connection, destination: str, rows: Sequence[Row[Any]], now: float
) -> Request:
    uid = f"2.25.{uuid.uuid4().int}"  # PS3.5 B.2
    conn.execute(
        commitment_requests.insert().values(
            transaction_uid=uid, destination=plain(destination), objects=len(rows), asked_at=now
        )
    )
    conn.execute(
        update(commitments)
        .where(_ID.in_([row.id for row in rows]))
        .values(
            state="asked", transaction_uid=uid, asked=commitments.c.asked + 1, due_at=now + HOLD_S
        )
    )
    refs = (InstanceRef(row.sop_class_uid, row.sop_instance_uid) for row in rows)
    return Request(uid, destination, tuple(refs))


def _of(conn: Connection, request: Request) -> Sequence[Row[Any]]:
    """Give what waits for the report on this request still."""
    chosen = select(commitments).where(
        commitments.c.state == "asked", commitments.c.transaction_uid == request.transaction_uid
    )
    return conn.execute(chosen.order_by(_ID).with_for_update()).all()


def _commit(conn: Connection, row: Row[Any], uid: str, now: float) -> None:
    kept = {"state": "committed", "settled_at": now, "transaction_uid": uid, "words": None}
    conn.execute(update(commitments).where(commitments.c.id == row.id).values(kept))


def _call_off(conn: Connection, row: Row[Any], reason: int, now: float) -> None:
    """Leave what was replaced as it is: sent again it would stand beside its successor."""
    words = f"{reason_words(reason)}; a later result took its place"
    left = {"state": "called off", "settled_at": now, "words": words}
    conn.execute(update(commitments).where(commitments.c.id == row.id).values(left))


def _send_again(conn: Connection, row: Row[Any], reason: int, now: float) -> bool:
    """Do what the reason asks for; False when the object was given up."""
    words, what = reason_words(reason), remedy(reason, row.asked)
    if what == "give up":
        _give_up(conn, row, words, now)
        return False
    ours = update(commitments).where(commitments.c.id == row.id)
    if what == "ask again":
        due_at = now + ASK_RETRY.pause_s(row.asked)
        conn.execute(ours.values(state="due", due_at=due_at, words=words))
        return True
    conn.execute(ours.values(state="sending", words=words))
    repeat = step(deliveries, Event.REPEAT).where(deliveries.c.id == row.delivery_id)
    due_at = now + SEND_RETRY.pause_s(row.asked)
    conn.execute(repeat.values(due_at=due_at, attempt=0, deaths=0, finished_at=None))
    return True


def _give_up(conn: Connection, row: Row[Any], words: str, now: float) -> None:
    """Make a dead letter of the delivery: a person can send it again."""
    given = {"state": "given up", "settled_at": now, "words": clip(words)}
    conn.execute(update(commitments).where(commitments.c.id == row.id).values(given))
    lose = step(deliveries, Event.LOSE).where(deliveries.c.id == row.delivery_id)
    conn.execute(lose.values(finished_at=now, last_error=clip(words)))
    raise_dead_letter_alarm(conn, row.destination, now)
    raise_alarm(
        conn, _not_committed(row.destination), f"{row.destination} does not keep what it took", now
    )


def _not_committed(destination: str) -> str:
    return key(f"not committed by {destination}")


def _not_asked(destination: str) -> str:
    return key(f"commitment not asked of {destination}")
