"""The state of the node in words for a terminal."""

from datetime import UTC, datetime

from dicom_node.domain.operations.monitoring import SILENT_S, Heartbeat
from dicom_node.domain.operations.status import Census, Commitments, Depth


def in_words(census: Census, free_bytes: int) -> str:
    """Write the census as lines of text; times are UTC."""
    lines = [
        f"received    {census.analysed + census.pending + sum(n for _, n in census.not_analysed)}"
        f" images: {census.analysed} analysed, {census.pending} pending,"
        f" {sum(n for _, n in census.not_analysed)} not analysed",
        *(f"            {count} not analysed: {reason}" for reason, count in census.not_analysed),
        f"jobs        {_depth(census.jobs)}",
        *(f"outbox      {depth.queue}: {_depth(depth)}" for depth in census.deliveries),
        *(f"commitment  {one.destination}: {_commitments(one)}" for one in census.commitments),
        *(
            f"sender      {one.calling_ae}: {one.instances} images, last {_when(one.last_at)}"
            for one in census.senders
        ),
        *(
            f"unknown     {one.ae} from {one.host}, {one.times} times, last {_when(one.last_at)}"
            for one in census.callers
        ),
        *(
            f"replaced    {one.destination}: {one.wanted} by {one.sent}: {one.reason}"
            f" (last {_when(one.last_at)})"
            for one in census.replaced
        ),
        *(f"process     {_process(one, census.at)}" for one in census.processes),
        f"disk        {free_bytes / 1e9:.1f} GB free",
        *(
            f"dead letter {one.kind} {one.id} ({one.where}, attempt {one.attempt}): {one.words}"
            for one in census.dead_letters
        ),
        *(
            f"ALARM       {one.kind}: {one.words} ({one.times} times, last {_when(one.last_at)})"
            for one in census.alarms
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
