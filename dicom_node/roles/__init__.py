"""The roles a process may play, each a module with `run`.

A role is imported when it starts: a receiver without the report builders and a worker
without the SCP start sooner and stay smaller.
"""

import threading
from importlib import import_module

from dicom_node.settings.settings import Settings

ROLES = ("receive", "work", "deliver", "console", "dicomweb", "orders")


def run_role(name: str, settings: Settings, stop: threading.Event) -> None:
    """Play a role until `stop`, then drain; raises what ends its process."""
    import_module(f"{__name__}.{name}").run(settings, stop)
