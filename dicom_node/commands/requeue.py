"""Put work back into the queue: dead letters, and images to read again."""

from contextlib import closing
from datetime import datetime
from pathlib import Path

import click

from dicom_node.assembly import parts as node
from dicom_node.commands.options import config_option, one_of
from dicom_node.settings.settings import load_settings
from dicom_node.storage.queue import requeue


@click.command()
@config_option()
@click.option("--delivery", type=int, metavar="ID")
@click.option("--job", type=int, metavar="ID")
@click.option("--all-dead", is_flag=True)
def retry(config: Path, delivery: int | None, job: int | None, all_dead: bool) -> int:
    """Make dead letters available and say how many; 1 when there are none."""
    one_of("delivery", "job", "all_dead", needed=True)
    with closing(node.open_parts(load_settings(config))) as parts:
        count = requeue.retry(
            parts.engine, delivery_id=delivery, job_id=job, all_dead=all_dead, now=parts.clock()
        )
    click.echo(f"{count} made available again")
    return 0 if count else 1


@click.command()
@config_option()
@click.option("--study", metavar="UID")
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="DAY",
    help="received since YYYY-MM-DD",
)
@click.option(
    "--not-analysed",
    "reason",
    metavar="REASON",
    help='only what was not analysed for a reason that begins so, as "view"; "": for any',
)
def reanalyse(config: Path, study: str | None, since: datetime | None, reason: str | None) -> int:
    """Queue stored images and say how many; 1 when there are none.

    Also those that no route took when they came, if one takes them now.
    """
    one_of("study", "since", needed=reason is None)
    settings, since_s = load_settings(config), since.timestamp() if since else 0.0
    with closing(node.open_parts(settings)) as parts:
        again = 0
        if reason is None:
            queued = requeue.reanalyse(
                parts.engine, study_uid=study, since=since_s, now=parts.clock()
            )
            again = len(queued)
        again += requeue.readmit(
            parts.engine,
            settings.routes,
            study_uid=study,
            since=since_s,
            reason=reason or "",
            now=parts.clock(),
        )
    click.echo(f"{again} images wait to be read again")
    return 0 if again else 1
