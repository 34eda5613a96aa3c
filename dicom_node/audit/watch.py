"""Says whether the audit trail can be written, and sent."""

import os
from collections.abc import Iterator
from pathlib import Path

from dicom_node.audit.node import place_of
from dicom_node.audit.trail import behind_since
from dicom_node.domain.errors import NodeError
from dicom_node.domain.pipeline import Check
from dicom_node.network import syslog
from dicom_node.settings.settings import Settings

PATIENCE_S = 900.0
"""How long messages may wait for the syslog server before it is an alarm."""


def audit_checks(settings: Settings) -> Iterator[Check]:
    """Look whether the log can be written and the server be reached; nothing when off."""
    place = place_of(settings)
    if place is None:
        return
    fault = _why_unwritable(place.file)
    yield Check("audit log", not fault, fault or f"{place.file} can be written")
    if place.server is None:
        return
    where = f"{place.server.host}:{place.server.port}"
    try:
        syslog.send((), place.server)
    except NodeError as error:
        yield Check("audit syslog", False, str(error))
    else:
        known = "is reached" if place.server.transport != "udp" else "is sent to; UDP tells no more"
        yield Check("audit syslog", True, f"{where} {known}")


def audit_faults(settings: Settings, now: float) -> Iterator[str]:
    """Name what keeps messages from the log or from the server."""
    place = place_of(settings)
    if place is None:
        return
    fault = _why_unwritable(place.file)
    if fault:
        yield fault
    since = behind_since(place.file) if place.server is not None else None
    if since is not None and now - since > PATIENCE_S:
        yield f"audit.syslog {settings.audit.syslog} has taken no message for {PATIENCE_S:g} s"


def _why_unwritable(file: Path) -> str:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        return f"audit.file {file} cannot be written: {error.strerror}"
    return ""
