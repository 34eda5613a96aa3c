"""The role that sends deliveries and runs scheduled work."""

import threading
from contextlib import closing
from functools import partial

import structlog

from dicom_node.assembly import destinations
from dicom_node.assembly import parts as node
from dicom_node.assembly.loop import take_turns
from dicom_node.assembly.negotiation import refusal_learner
from dicom_node.audit.node import audit_senders
from dicom_node.domain.errors import GiveUp
from dicom_node.flow.deliver import Outbox, deliver_once
from dicom_node.operations.heartbeat import heartbeat
from dicom_node.operations.schedule import tidying
from dicom_node.process.supervisor import orphaned, wait_for_stop
from dicom_node.settings.settings import Settings
from dicom_node.storage.database.notify import WorkNotifier

log = structlog.get_logger()


def run(settings: Settings, stop: threading.Event) -> None:
    """Send results until `stop`, one thread per destination; tidy meanwhile.

    One thread each, so that a destination that hangs holds up no other.
    """
    with closing(node.open_parts(settings)) as parts:
        audited_senders = audit_senders(
            destinations.senders(settings), parts.audit, settings, parts.engine
        )

        def send_to(destination: str) -> None:
            outbox = Outbox(
                node.worker_name(f"deliver-{destination}"),
                parts.ledger,
                parts.archive,
                audited_senders,
                parts.clock,
                node.LEASE_S,
                refusal_learner(parts),
            )
            turn = partial(deliver_once, outbox, destination)
            with closing(WorkNotifier(parts.engine, "deliveries")) as notifier:
                take_turns(turn, stop, orphaned, notifier)

        threads = [
            threading.Thread(target=send_to, args=(name,), name=name) for name in audited_senders
        ]
        with heartbeat(parts, "deliver"), tidying(parts, audited_senders, stop.wait):
            for thread in threads:
                thread.start()
            log.info("outbox_ready", destinations=list(audited_senders))
            wait_for_stop(stop, threads)
            lost = (
                []
                if stop.is_set()
                else [thread.name for thread in threads if not thread.is_alive()]
            )
            stop.set()
            for thread in threads:
                thread.join()
    if lost:  # the log says why; a new process may fare better
        raise GiveUp(f"nobody sends to {', '.join(lost)} any more")
