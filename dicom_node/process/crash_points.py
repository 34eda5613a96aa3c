"""Places where a test may let a process die, as a power cut would.

`DICOM_NODE_CRASH_AT=ROLE:POINT` ends the process that runs ROLE at POINT, without any
clean-up, the first time it comes there: `DICOM_NODE_CRASH_MARK` names a file that is
made then, and that keeps the restarted role alive. Neither is set in service.
"""

import os
from pathlib import Path
from typing import Literal

AT, MARK = "DICOM_NODE_CRASH_AT", "DICOM_NODE_CRASH_MARK"
EXIT_CODE = 70

Point = Literal[
    "file written",
    "file renamed",
    "instance stored",
    "instance recorded",
    "jobs claimed",
    "results made",
    "jobs finished",
    "deliveries claimed",
    "objects sent",
    "deliveries settled",
    "commitment asked",
    "commitment accepted",
    "commitment heard",
    "uncommitted",
]
"""Each lies between two durable writes."""

_armed: set[str] = set()


def arm(role: str) -> None:
    """Take up the environment's crash point, if it is this role's."""
    wanted, _, point = os.environ.get(AT, "").partition(":")
    if wanted == role:
        _armed.add(point)


def here(point: Point) -> None:
    """Die if this is the place."""
    if point in _armed:
        _die()


def _die() -> None:
    try:
        Path(os.environ[MARK]).touch(exist_ok=False)
    except FileExistsError:
        return  # it died here before
    os._exit(EXIT_CODE)
