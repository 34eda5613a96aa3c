"""The role that shows the status page, health and metrics."""

import threading

from dicom_node.process.supervisor import wait_for_stop
from dicom_node.roles.console.server import serving
from dicom_node.roles.console.views import views
from dicom_node.settings.settings import Settings


def run(settings: Settings, stop: threading.Event) -> None:
    """Serve the status page, health and metrics until `stop`."""
    with serving(settings.console.host, settings.console.port, views(settings)):
        wait_for_stop(stop)
