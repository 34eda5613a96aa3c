"""All roles in one process: python -m tests.abuse.privacy.one_process CONFIG."""

import importlib
import sys
import threading
from functools import partial
from pathlib import Path

from dicom_node.audit.node import audited_role
from dicom_node.domain.work import DELIVERY_RETRY
from dicom_node.process.logs import discreet, start_logs
from dicom_node.process.supervisor import stop_signal
from dicom_node.roles import ROLES, run_role
from dicom_node.settings.settings import load_settings

for key, value in (("first_s", 0.1), ("longest_s", 0.5), ("attempts", 3)):
    object.__setattr__(DELIVERY_RETRY, key, value)


def main(config: Path) -> None:
    settings = load_settings(config)
    start_logs("json", "debug", "all")
    for (
        name
    ) in ROLES:  # one after the other: threads that import pydicom together meet it half made
        importlib.import_module(f"dicom_node.roles.{name}")
    with discreet(), stop_signal() as stop, audited_role(settings, "all"):
        running = [
            threading.Thread(target=partial(run_role, name, settings, stop), name=name)
            for name in ROLES
        ]
        for one in running:
            one.start()
        for one in running:
            one.join()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
