"""Run one role with short leases: python -m tests.faults.role ROLE CONFIG.

CLOCK_OFFSET_S in the environment sets its clock ahead (or back). ROLE_DRAIN_S,
HOPELESS_S and BEAT_S shorten what they are named after.
"""

import os
import sys
import time

_true = time.time
_offset_s = float(os.environ.get("CLOCK_OFFSET_S", "0"))
if _offset_s:
    time.time = lambda: _true() + _offset_s

from dicom_node import cli, housekeeping, node, pulse, supervisor  # noqa: E402 - after the clock
from dicom_node.domain.work import DELIVERY_RETRY  # noqa: E402 - as above

object.__setattr__(DELIVERY_RETRY, "first_s", 0.2)
object.__setattr__(DELIVERY_RETRY, "longest_s", 1.0)
node.LEASE_S = 1.5
housekeeping.RESCUE_EVERY_S = 1
for module, name in ((supervisor, "ROLE_DRAIN_S"), (pulse, "HOPELESS_S"), (pulse, "BEAT_S")):
    setattr(module, name, float(os.environ.get(name, getattr(module, name))))

if __name__ == "__main__":
    sys.exit(cli.main([sys.argv[1], "-c", sys.argv[2]]))
