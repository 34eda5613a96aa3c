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
        *(f"commitment  {one.destination}: {_commitments(one)}" for one in snapshot.commitments),
        *(
            f"sender      {one.calling_ae}: {one.instances} images, last {_when(one.last_at)}"
            for one in snapshot.senders
        ),
        *(
            f"unknown     {one.ae} from {one.host}, {one.times} times, last {_when(one.last_at)}"
            for one in snapshot.callers
        ),
        *(
            f"replaced    {one.destination}: {one.wanted} by {one.sent}: {one.reason}"
            f" (last {_when(one.last_at)})"
            for one in snapshot.replaced
        ),
        *(f"process     {_process(one, snapshot.at)}" for one in snapshot.processes),
        f"disk        {free_bytes / 1e9:.1f} GB free",
        *(
            f"dead letter {one.kind} {one.id} ({one.where}, attempt {one.attempt}): {one.words}"
            for one in snapshot.dead_letters
        ),
        *(
            f"ALARM       {one.kind}: {one.words} ({one.times} times, last {_when(one.last_at)})"
            for one in snapshot.alarms
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


def _commitments(one: Commitments) -> str:
    words = f"{one.uncommitted} uncommitted, {one.committed} committed"
    if one.given_up:
        words += f", {one.given_up} given up"
    if one.oldest_s is not None:
        words += f"; the oldest waits for {one.oldest_s:.0f} s"
    return words


def _process(beat: Heartbeat, now: float) -> str:
    models = ", ".join(f"{one.pipeline} {one.version} on {one.device}" for one in beat.models)
    silent_s = max(0.0, now - beat.last_at)
    life = "alive" if silent_s < SILENT_S else f"SILENT for {silent_s:.0f} s"
    memory = f"{beat.resident_bytes / 1e6:.0f} MB, {beat.open_files} files"
    return f"{beat.worker}: {life}, {memory}{'; ' if models else ''}{models}"


def _when(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")
