"""The status page."""

from collections.abc import Iterable
from datetime import UTC, datetime
from html import escape

from dicom_node.domain.operations.monitoring import Heartbeat
from dicom_node.domain.operations.status import Commitments, Depth, StatusSnapshot

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem;
       padding: 0 1rem; color: #1b2733; background: #f7f9fb; }
h1 { font-size: 1.35rem; } h2 { font-size: 1.05rem; margin: 1.6rem 0 .4rem; }
table { border-collapse: collapse; width: 100%; background: #fff; }
th, td { text-align: left; padding: .35rem .6rem; border-bottom: 1px solid #dde4ea;
         vertical-align: top; overflow-wrap: anywhere; }
th { font-weight: 600; color: #51606e; } td.number { font-variant-numeric: tabular-nums; }
.bad { color: #a3261d; font-weight: 600; } .calm { color: #51606e; }
footer { margin-top: 2rem; color: #51606e; font-size: .85rem; }
"""

Row = tuple[object, ...]


def page(snapshot: StatusSnapshot) -> str:
    """Write the snapshot as an HTML page that reloads itself; times are UTC."""
    declined = sum(count for _, count in snapshot.not_analysed)
    depths = [snapshot.jobs, *snapshot.deliveries]
    parts = [
        f"<h1>dicom-node</h1><p>{snapshot.analysed} images analysed, {snapshot.pending} pending, "
        f"{declined} not analysed.</p>",
        _table("Alarms", ("what", "words", "times", "last"), _alarms(snapshot)),
        _table(
            "Queues",
            ("queue", "waiting", "under way", "done", "dead", "oldest"),
            map(_depth, depths),
        ),
        _table(
            "Storage commitment",
            ("destination", "uncommitted", "committed", "given up", "oldest"),
            map(_commitments, snapshot.commitments),
        ),
        _table(
            "Replaced", ("destination", "wanted", "sent", "reason", "last"), _replaced(snapshot)
        ),
        _table("Dead letters", ("what", "where", "attempts", "reason", "at"), _letters(snapshot)),
        _table(
            "Processes",
            ("role", "process", "silent for", "models"),
            (_process(one, snapshot.at) for one in snapshot.processes),
        ),
        _table("Senders", ("AE title", "images", "last"), _senders(snapshot)),
        _table("Unknown callers", ("AE title", "from", "times", "last"), _callers(snapshot)),
        _table("Not analysed", ("reason", "images"), snapshot.not_analysed),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta http-equiv="refresh" content="5">'
        '<meta name="viewport" content="width=device-width"><title>dicom-node</title>'
        f"<style>{STYLE}</style></head><body>{''.join(parts)}"
        f"<footer>{_when(snapshot.at)} UTC. Results of this node are preliminary and "
        "NOT FOR DIAGNOSTIC USE.</footer></body></html>"
    )


def _table(title: str, heads: tuple[str, ...], rows: Iterable[Row]) -> str:
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    if not body:
        return ""
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    return (
        f"<h2>{escape(title)}</h2><table><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table>"
    )


def _cell(value: object) -> str:
    number = ' class="number"' if isinstance(value, int) else ""
    return f"<td{number}>{escape(str(value))}</td>"


def _depth(depth: Depth) -> Row:
    counts = depth.available, depth.executing, depth.completed, depth.discarded
    return (depth.queue, *counts, _age(depth.oldest_s))


def _commitments(one: Commitments) -> Row:
    counts = one.uncommitted, one.committed, one.given_up
    return (one.destination, *counts, _age(one.oldest_s))


def _replaced(snapshot: StatusSnapshot) -> list[Row]:
    return [
        (one.destination, one.wanted, one.sent, one.reason, _when(one.last_at))
        for one in snapshot.replaced
    ]


def _alarms(snapshot: StatusSnapshot) -> list[Row]:
    return [(one.kind, one.words, one.times, _when(one.last_at)) for one in snapshot.alarms]


def _letters(snapshot: StatusSnapshot) -> list[Row]:
    return [
        (f"{one.kind} {one.id}", one.where, one.attempt, one.words, _when(one.at))
        for one in snapshot.dead_letters
    ]


def _process(beat: Heartbeat, now: float) -> Row:
    models = ", ".join(f"{one.pipeline} {one.version}" for one in beat.models)
    return (beat.role, beat.worker, f"{max(0.0, now - beat.last_at):.0f} s", models)


def _senders(snapshot: StatusSnapshot) -> list[Row]:
    return [(one.calling_ae, one.instances, _when(one.last_at)) for one in snapshot.senders]


def _callers(snapshot: StatusSnapshot) -> list[Row]:
    return [(one.ae, one.host, one.times, _when(one.last_at)) for one in snapshot.callers]


def _age(oldest_s: float | None) -> str:
    return "" if oldest_s is None else f"{oldest_s:.0f} s"


def _when(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")
