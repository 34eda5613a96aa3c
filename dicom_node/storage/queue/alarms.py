"""What the database says of things that may be wrong, and their alarms."""

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Engine, func, select, update

from dicom_node.domain.operations.monitoring import DAY_S, Habit
from dicom_node.storage.database.rows import ascii_json, clip, insert_new, key
from dicom_node.storage.database.schema import (
    alarms,
    deliveries,
    instances,
    jobs,
    results,
    score_references,
)
from dicom_node.storage.database.transactions import transaction
from dicom_node.storage.queue.transitions import UNFINISHED, close_alarms, in_state, raise_alarm

HABIT_S = 14 * DAY_S
AT_ONCE = 50
"""Findings that are in memory at a time; there are thousands, of many kilobytes each."""


@dataclass(frozen=True, slots=True)
class Model:
    """Whose scores they are."""

    pipeline: str
    version: str
    sha256: str


Scores = dict[str, list[float]]
"""Probabilities by the finding's meaning, the newest first."""


def open_alarm(engine: Engine, kind: str, words: str, now: float) -> None:
    """Open an alarm; the same kind and words again only count."""
    with transaction(engine) as conn:
        raise_alarm(conn, key(kind), words, now)


def close_alarm(engine: Engine, kind: str, now: float) -> int:
    """Close the open alarms of a kind; say how many."""
    with transaction(engine) as conn:
        return close_alarms(conn, kind, now)


def set_alarms(engine: Engine, kind: str, words: Collection[str], now: float) -> None:
    """Make `words` the open alarms of a kind: raise the new, close those that are over."""
    wanted = {clip(fact) for fact in words}
    still = alarms.c.kind == kind, alarms.c.closed_at.is_(None)
    with transaction(engine, writing=False) as conn:
        if set(conn.scalars(select(alarms.c.words).where(*still))) == wanted == set():
            return
    with transaction(engine) as conn:
        there = set(conn.scalars(select(alarms.c.words).where(*still)))
        ended = update(alarms).where(*still, alarms.c.words.not_in(wanted))
        conn.execute(ended.values(closed_at=now))
        lasting = update(alarms).where(*still, alarms.c.words.in_(wanted & there))
        conn.execute(lasting.values(last_at=now))
        for fact in sorted(wanted - there):
            raise_alarm(conn, kind, fact, now)


def open_alarms(engine: Engine, kind: str) -> tuple[str, ...]:
    """Give the words of the open alarms of a kind; raises TryAgain."""
    with transaction(engine, writing=False) as conn:
        found = select(alarms.c.words).where(alarms.c.kind == kind, alarms.c.closed_at.is_(None))
        return tuple(conn.execute(found).scalars())


def habit_of(engine: Engine, ae: str) -> Habit | None:
    """Say how a calling AE title usually sends; None when nothing of it is kept."""
    at = instances.c.received_at
    with transaction(engine, writing=False) as conn:
        last_at = conn.scalar(select(func.max(at)).where(instances.c.calling_ae == ae))
        if last_at is None:
            return None
        times = select(at, (at - func.lag(at).over(order_by=at)).label("pause"))
        times = times.where(instances.c.calling_ae == ae, at >= last_at - HABIT_S)
        of = times.subquery().c
        row = conn.execute(
            select(func.count(), func.min(of.received_at), func.coalesce(func.max(of.pause), 0.0))
        ).one()
    return Habit(last_at, row[0], last_at - row[1], row[2])


def oldest_job_at(engine: Engine) -> float | None:
    """Say since when the oldest unfinished job waits; those read again on request may."""
    oldest = select(func.min(jobs.c.created_at)).where(jobs.c.priority != "low")
    with transaction(engine, writing=False) as conn:
        # one state at a time: each has its partial index
        found = [conn.scalar(oldest.where(in_state(jobs, state))) for state in UNFINISHED]
    return min((at for at in found if at is not None), default=None)


def oldest_deliveries_at(engine: Engine) -> dict[str, float]:
    """Say since when the oldest unfinished delivery of each destination waits."""
    place = deliveries.c.destination
    oldest = select(place, func.min(deliveries.c.created_at)).group_by(place)
    with transaction(engine, writing=False) as conn:
        rows = conn.execute(oldest.where(in_state(deliveries, *UNFINISHED)))
        return {row[0]: row[1] for row in rows}


def live_scores(engine: Engine, pipeline: str, most: int) -> tuple[Model, Scores] | None:
    """Give the newest scores of the model that read last, of at most `most` images.

    Only images that came after the model's reference was taken. An image judged at
    several operating points counts once.
    """
    with transaction(engine, writing=False) as conn:
        newest = select(results).where(results.c.pipeline == pipeline, results.c.role == "live")
        newest = newest.order_by(results.c.id.desc())
        last = conn.execute(newest.limit(1)).first()
        if last is None:
            return None
        model = Model(pipeline, last.version, last.model_sha256)
        rows = newest.where(
            results.c.version == model.version,
            results.c.model_sha256 == model.sha256,
            results.c.created_at > _reference_at(conn, model),
        )
        rows = rows.with_only_columns(results.c.instance_id, results.c.findings)
        rows = rows.limit(2 * most).execution_options(yield_per=AT_ONCE)
        said = {row.instance_id: _scores_in(row.findings) for row in conn.execute(rows)}
    scores: Scores = {}
    for found in list(said.values())[:most]:
        for meaning, probability in found:
            scores.setdefault(meaning, []).append(probability)
    return model, scores


def _scores_in(findings: str) -> list[tuple[str, float]]:
    return [
        (finding["code"]["meaning"], finding["probability"])
        for finding in json.loads(findings)["findings"]
    ]


def reference_of(engine: Engine, model: Model) -> Scores:
    """Give the scores that a model's are compared with; empty before they are taken."""
    with transaction(engine, writing=False) as conn:
        rows = conn.execute(select(score_references).where(*_of(model)))
        return {row.finding: json.loads(row.scores) for row in rows}


def keep_reference(engine: Engine, model: Model, scores: Scores, now: float) -> None:
    """Take these scores as the model's reference, for ever."""
    whose = {"pipeline": model.pipeline, "version": model.version, "model_sha256": model.sha256}
    with transaction(engine) as conn:
        for finding, values in scores.items():
            row = {"finding": finding, "scores": ascii_json(sorted(values)), "created_at": now}
            conn.execute(insert_new(conn, score_references), whose | row)


def keep_drift(engine: Engine, model: Model, drifts: dict[str, float], now: float) -> None:
    """Write down how far the model's live scores are from its reference."""
    with transaction(engine, durable=False) as conn:
        for finding, psi in drifts.items():
            chosen = (*_of(model), score_references.c.finding == finding)
            conn.execute(update(score_references).where(*chosen).values(psi=psi, measured_at=now))


def _reference_at(conn: Connection, model: Model) -> float:
    taken = select(func.max(score_references.c.created_at)).where(*_of(model))
    return conn.scalar(taken) or 0.0


def _of(model: Model) -> Iterator[ColumnElement[bool]]:
    table = score_references.c
    yield table.pipeline == model.pipeline
    yield table.version == model.version
    yield table.model_sha256 == model.sha256
