"""What the console shows, read anew at each look."""

from functools import partial

from dicom_node.assembly import parts as node
from dicom_node.assembly.archive import free_bytes
from dicom_node.domain.operations.monitoring import RECEIVER_FULL, roles_without_heartbeat
from dicom_node.operations.alarms import sender_names
from dicom_node.roles.console.metrics import Disk, write_metrics
from dicom_node.roles.console.server import Views
from dicom_node.settings.settings import Settings
from dicom_node.storage.database.clock import DatabaseClock
from dicom_node.storage.queue.alarms import open_alarms
from dicom_node.storage.status.heartbeats import take_heartbeats
from dicom_node.storage.status.readings import take_readings


def views(settings: Settings) -> Views:
    """Give the console what it shows; the database is opened for each look."""
    return Views(
        snapshot=partial(node.status_snapshot, settings),
        missing=partial(_missing, settings),
        metrics=partial(_metrics, settings),
        full=partial(_full, settings),
    )


def needed_roles(settings: Settings) -> tuple[str, ...]:
    """Name the roles without which the node does not do what is configured."""
    optional = (("dicomweb", settings.dicomweb.port), ("orders", settings.orders.port))
    return ("receive", "work", "deliver", *(role for role, port in optional if port))


def _missing(settings: Settings) -> tuple[str, ...]:
    with node.opened_engine(settings) as engine:
        return roles_without_heartbeat(
            needed_roles(settings), take_heartbeats(engine), DatabaseClock(engine)()
        )


def _full(settings: Settings) -> tuple[str, ...]:
    with node.opened_engine(settings) as engine:
        return open_alarms(engine, RECEIVER_FULL)


def _metrics(settings: Settings) -> str:
    with node.opened_engine(settings) as engine:
        readings = take_readings(engine, sender_names(settings), DatabaseClock(engine)())
    disk = Disk(free_bytes(settings), int(settings.receive.min_free_gb * 1e9))
    return write_metrics(readings, disk)
