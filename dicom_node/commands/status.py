"""The state of the node in words for a terminal."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click

from dicom_node.assembly import parts as node
from dicom_node.assembly.archive import free_bytes
from dicom_node.commands.options import config_option
from dicom_node.domain.operations.monitoring import SILENT_S, Heartbeat
from dicom_node.domain.operations.status import (
    Commitments,
    Depth,
    StatusSnapshot,
    without_quotes,
)
from dicom_node.settings.settings import load_settings


@click.command()
@config_option()
@click.option("--json", "as_json", is_flag=True)
@click.option(
    "--quoted", is_flag=True, help="show destinations' own words, which may name a patient"
)
def status(config: Path, as_json: bool, quoted: bool) -> None:
    """Print the snapshot; raises TryAgain while the database is away."""
    settings = load_settings(config)
    snapshot, free = node.status_snapshot(settings), free_bytes(settings)
    if not quoted:
        snapshot = without_quotes(snapshot)
    if as_json:
        click.echo(json.dumps({**asdict(snapshot), "disk_free_bytes": free}, indent=2))
    else:
        click.echo(in_words(snapshot, free))


def in_words(snapshot: StatusSnapshot, free_bytes: int) -> str:
    """Write the snapshot as lines of text; times are UTC."""
    unread = sum(count for _, count in snapshot.not_analysed)
    lines = [
        f"received    {snapshot.analysed + snapshot.pending + unread} images:"
        f" {snapshot.analysed} analysed, {snapshot.pending} pending, {unread} not analysed",
        *(f"            {count} not analysed: {reason}" for reason, count in snapshot.not_analysed),
        f"jobs        {_depth(snapshot.jobs)}",
        *(f"outbox      {depth.queue}: {_depth(depth)}" for depth in snapshot.deliveries),
        *(
            f"commitment  {commitment.destination}: {_commitments(commitment)}"
            for commitment in snapshot.commitments
        ),
        *(
            f"sender      {sender.calling_ae}: {sender.instances} images,"
            f" last {_when(sender.last_at)}"
            for sender in snapshot.senders
        ),
        *(
            f"unknown     {caller.ae} from {caller.host}, {caller.times} times,"
            f" last {_when(caller.last_at)}"
            for caller in snapshot.callers
        ),
        *(
            f"replaced    {replacement.destination}: {replacement.wanted} by {replacement.sent}:"
            f" {replacement.reason} (last {_when(replacement.last_at)})"
            for replacement in snapshot.replaced
        ),
        *(f"process     {_process(process, snapshot.at)}" for process in snapshot.processes),
        f"disk        {free_bytes / 1e9:.1f} GB free",
        *(
            f"dead letter {letter.kind} {letter.id} ({letter.where}, attempt {letter.attempt}):"
            f" {letter.words}"
            for letter in snapshot.dead_letters
        ),
        *(
            f"ALARM       {alarm.kind}: {alarm.words}"
            f" ({alarm.times} times, last {_when(alarm.last_at)})"
            for alarm in snapshot.alarms
        ),
    ]
    return "\n".join(lines)


def _depth(depth: Depth) -> str:
    words = f"{depth.available} waiting, {depth.executing} under way, {depth.completed} done"
    if depth.discarded:
        words += f", {depth.discarded} dead"
    if depth.oldest_s is not None:
        words += f"; the oldest waits for {depth.oldest_s:.0f} s"
    return words


def _commitments(commitment: Commitments) -> str:
    words = f"{commitment.uncommitted} uncommitted, {commitment.committed} committed"
    if commitment.given_up:
        words += f", {commitment.given_up} given up"
    if commitment.oldest_s is not None:
        words += f"; the oldest waits for {commitment.oldest_s:.0f} s"
    return words


def _process(process: Heartbeat, now: float) -> str:
    models = ", ".join(
        f"{model.pipeline} {model.version} on {model.device}" for model in process.models
    )
    silent_s = max(0.0, now - process.last_at)
    life = "alive" if silent_s < SILENT_S else f"SILENT for {silent_s:.0f} s"
    memory = f"{process.resident_bytes / 1e6:.0f} MB, {process.open_files} files"
    return f"{process.worker}: {life}, {memory}{'; ' if models else ''}{models}"


def _when(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")
