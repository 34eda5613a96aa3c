"""The roles: receive, work, deliver, console, orders.

A role imports what it needs when it starts: a receiver without the report builders
and a worker without the SCP start sooner and stay smaller.
"""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

import structlog

from dicom_node.assembly import parts as node
from dicom_node.assembly.destinations import secured_entry
from dicom_node.domain.errors import GiveUp
from dicom_node.domain.operations.monitoring import ServingModel
from dicom_node.operations.heartbeat import heartbeat
from dicom_node.process.supervisor import orphaned
from dicom_node.settings.settings import Settings

if TYPE_CHECKING:  # imported when the role starts
    from dicom_node.network.dimse.scp import StorageSCP

log = structlog.get_logger()

DRAIN_S = 20.0
"""For associations that are open at SIGTERM; less than the supervisor waits."""


def run_receive(settings: Settings, stop: threading.Event) -> None:
    """Serve C-ECHO and C-STORE until `stop`, then drain."""
    with closing(node.open_parts(settings)) as parts:
        scps = _receivers(parts)
        with heartbeat(parts, "receive"):
            for scp in scps:
                scp.start()
            _wait(stop)
            stops = [threading.Thread(target=scp.stop, args=(DRAIN_S,)) for scp in scps]
            for one in stops:
                one.start()
            for one in stops:
                one.join()


def _receivers(parts: node.Parts) -> "list[StorageSCP]":
    """Make what listens, with TLS and without; raises BadSettings."""
    from dicom_node.assembly.commitment import reports
    from dicom_node.flow.receive import admit_caller, receive
    from dicom_node.network.dimse.scp import Service, StorageSCP

    settings, reception, policy = (
        parts.settings,
        node.reception(parts),
        node.caller_policy(parts),
    )
    service = Service(
        ae_title=settings.node.ae_title,
        greet=lambda caller: admit_caller(caller, policy, time.time()),
        store=lambda request: receive(request, reception, parts.clock()),
        max_associations=settings.receive.max_associations,
        max_per_caller=settings.receive.max_per_caller,
        max_object=settings.receive.max_object_mb << 20,
        max_held=settings.receive.max_held_mb << 20,
        max_pdu=settings.receive.max_pdu,
        reports=partial(reports, parts),
    )
    host, scps = settings.node.host, []
    if settings.tls.mode != "off":
        secure = parts.audit.guarded(secured_entry(settings))
        scps.append(StorageSCP(host, settings.tls.port, service, secure))
    if settings.tls.plain:
        scps.append(StorageSCP(host, settings.node.port, service))
    return scps


def run_work(settings: Settings, stop: threading.Event) -> None:
    """Read images until `stop`; the one under way is finished first.

    When another model is promoted, rolled back or put into shadow, it is taken up
    between two images.
    """
    from dicom_node.assembly import builders, pipelines
    from dicom_node.flow.batch import work_batch
    from dicom_node.flow.infer import work_once
    from dicom_node.storage.database.notify import WorkNotifier
    from dicom_node.storage.models import stamp

    store, wait_s = pipelines.model_store_of(settings), settings.inference.batch_ms / 1000
    with (
        closing(node.open_parts(settings)) as parts,
        closing(WorkNotifier(parts.engine, "jobs")) as bell,
        heartbeat(parts, "work", looping=True) as pulse,
    ):
        write = builders.writer(settings, parts.engine, parts.archive)
        while not stop.is_set() and not orphaned():
            seen = stamp(store, settings.pipelines)
            reader = pipelines.reader(settings, parts.engine)
            pipelines.prove(reader)
            turn = partial(
                partial(work_batch, wait_s=wait_s) if wait_s else work_once,
                parts.ledger,
                parts.archive,
                reader,
                write,
                node.worker_name("work"),
                clock=parts.clock,
                lease_s=node.LEASE_S,
            )
            log.info("worker_ready", pipelines=list(reader.pipelines))
            pulse.models = tuple(
                ServingModel(one.name, one.version, one.device.partition(" ")[0])
                for one in reader.pipelines.values()
            )
            ended = partial(_outdated, partial(stamp, store, settings.pipelines), seen)
            node.loop(pulse.watch(turn), stop, ended, bell)


def _outdated(stamp: Callable[[], object], seen: object) -> bool:
    """Say whether the supervisor is gone, or another model serves than was `seen`."""
    return orphaned() or stamp() != seen


def run_deliver(settings: Settings, stop: threading.Event) -> None:
    """Send results until `stop`, one thread per destination; tidy meanwhile.

    One thread each, so that a destination that hangs holds up no other.
    """
    from dicom_node.assembly.negotiation import refusal_learner
    from dicom_node.audit.node import audited
    from dicom_node.flow.deliver import deliver_once
    from dicom_node.operations.reconciliation import reconciling
    from dicom_node.operations.schedule import tidying
    from dicom_node.storage.database.notify import WorkNotifier

    with closing(node.open_parts(settings)) as parts:
        audited_senders = audited(node.senders(settings), parts.audit, settings, parts.engine)
        descend = refusal_learner(settings, parts.engine)

        def send_to(destination: str) -> None:
            turn = partial(
                deliver_once,
                parts.ledger,
                parts.archive,
                audited_senders,
                node.worker_name(f"deliver-{destination}"),
                destination=destination,
                learn_refusal=descend,
                clock=parts.clock,
                lease_s=node.LEASE_S,
            )
            with closing(WorkNotifier(parts.engine, "deliveries")) as bell:
                node.loop(turn, stop, orphaned, bell)

        threads = [
            threading.Thread(target=send_to, args=(name,), name=name) for name in audited_senders
        ]
        with heartbeat(parts, "deliver"), tidying(parts, audited_senders), reconciling(parts, stop):
            for thread in threads:
                thread.start()
            log.info("outbox_ready", destinations=list(audited_senders))
            _wait(stop, threads)
            lost = [] if stop.is_set() else [one.name for one in threads if not one.is_alive()]
            stop.set()
            for thread in threads:
                thread.join()
    if lost:  # the log says why; a new process may fare better
        raise GiveUp(f"nobody sends to {', '.join(lost)} any more")


def run_console(settings: Settings, stop: threading.Event) -> None:
    """Serve the status page, health and metrics until `stop`."""
    from dicom_node.roles.console.server import serving
    from dicom_node.roles.console.views import views

    with serving(settings.console.host, settings.console.port, views(settings)):
        _wait(stop)


def run_orders(settings: Settings, stop: threading.Event) -> None:
    """Hear orders and patient updates by HL7 until `stop`, then drain."""
    from dicom_node.roles.orders import listener

    with closing(node.open_parts(settings)) as parts:
        listening = listener(parts)
        with heartbeat(parts, "orders"):
            listening.start()
            log.info("orders_ready", port=listening.port)
            _wait(stop)
            listening.stop(DRAIN_S)


def run_dicomweb(settings: Settings, stop: threading.Event) -> None:
    """Receive by STOW-RS until `stop`, then drain."""
    from dicom_node.roles.dicomweb import server

    with closing(node.open_parts(settings)) as parts:
        scp = server(parts)
        with heartbeat(parts, "dicomweb"):
            scp.start()
            _wait(stop)
            scp.stop(DRAIN_S)


def _wait(stop: threading.Event, threads: Sequence[threading.Thread] = ()) -> None:
    """Wait for the signal, for the supervisor's death, or for that of a thread."""
    while not stop.wait(1.0):
        if orphaned():
            stop.set()
        if not all(one.is_alive() for one in threads):
            return


ROLES: dict[str, Callable[[Settings, threading.Event], None]] = {
    "receive": run_receive,
    "work": run_work,
    "deliver": run_deliver,
    "console": run_console,
    "dicomweb": run_dicomweb,
    "orders": run_orders,
}
"""Every role and what runs it."""
