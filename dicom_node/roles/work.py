"""The role that reads images."""

import threading
from collections.abc import Callable
from contextlib import closing
from functools import partial

import structlog

from dicom_node.assembly import builders, pipelines
from dicom_node.assembly import parts as node
from dicom_node.assembly.loop import take_turns
from dicom_node.domain.operations.monitoring import ServingModel
from dicom_node.flow.batch import work_batch
from dicom_node.flow.infer import Worker, work_once
from dicom_node.operations.heartbeat import heartbeat
from dicom_node.process.supervisor import orphaned
from dicom_node.settings.settings import Settings
from dicom_node.storage.database.notify import WorkNotifier
from dicom_node.storage.models import stamp

log = structlog.get_logger()


def run(settings: Settings, stop: threading.Event) -> None:
    """Read images until `stop`; the one under way is finished first.

    When another model is promoted, rolled back or put into shadow, it is taken up
    between two images.
    """
    store, wait_s = pipelines.model_store_of(settings), settings.inference.batch_ms / 1000
    with (
        closing(node.open_parts(settings)) as parts,
        closing(WorkNotifier(parts.engine, "jobs")) as notifier,
        heartbeat(parts, "work", looping=True) as writer,
    ):
        write = builders.writer(settings, parts.engine, parts.archive)
        while not stop.is_set() and not orphaned():
            seen = stamp(store, settings.pipelines)
            reader = pipelines.reader(settings, parts.engine)
            pipelines.warm_up_pipelines(reader)
            worker = Worker(
                node.worker_name("work"),
                parts.ledger,
                parts.archive,
                reader,
                write,
                parts.clock,
                node.LEASE_S,
            )
            turn = partial(work_batch, worker, wait_s) if wait_s else partial(work_once, worker)
            log.info("worker_ready", pipelines=list(reader.pipelines))
            writer.models = tuple(
                ServingModel(pipeline.name, pipeline.version, pipeline.device.partition(" ")[0])
                for pipeline in reader.pipelines.values()
            )
            ended = partial(_outdated, partial(stamp, store, settings.pipelines), seen)
            take_turns(writer.watch(turn), stop, ended, notifier)


def _outdated(stamp: Callable[[], object], seen: object) -> bool:
    """Say whether the supervisor is gone, or another model serves than was `seen`."""
    return orphaned() or stamp() != seen
