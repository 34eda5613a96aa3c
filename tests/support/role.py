"""Run one role with short leases: python -m tests.support.role ROLE CONFIG.

CLOCK_OFFSET_S in the environment sets its clock ahead (or back). ROLE_DRAIN_S,
HUNG_S and BEAT_S shorten what they are named after.
"""

import os
import sys
import time

_true = time.time
_offset_s = float(os.environ.get("CLOCK_OFFSET_S", "0"))
if _offset_s:
    time.time = lambda: _true() + _offset_s

from dicom_node.assembly import parts  # noqa: E402 - after the clock
from dicom_node.commands import cli  # noqa: E402 - after the clock
from dicom_node.domain.work import DELIVERY_RETRY  # noqa: E402 - as above
from dicom_node.operations import heartbeat, schedule  # noqa: E402 - after the clock
from dicom_node.process import supervisor  # noqa: E402 - after the clock

object.__setattr__(DELIVERY_RETRY, "first_s", 0.2)
object.__setattr__(DELIVERY_RETRY, "longest_s", 1.0)
parts.LEASE_S = 1.5
schedule.RESCUE_EVERY_S = 1
for module, name in (
    (supervisor, "ROLE_DRAIN_S"),
    (heartbeat, "HUNG_S"),
    (heartbeat, "BEAT_S"),
):
    setattr(module, name, float(os.environ.get(name, getattr(module, name))))

if __name__ == "__main__":
    sys.exit(cli.main([sys.argv[1], "-c", sys.argv[2]]))
