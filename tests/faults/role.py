"""Run one role with short leases: python -m tests.faults.role ROLE CONFIG.

CLOCK_OFFSET_S in the environment sets its clock ahead (or back).
"""

import os
import sys
import time

_true = time.time
_offset_s = float(os.environ.get("CLOCK_OFFSET_S", "0"))
if _offset_s:
    time.time = lambda: _true() + _offset_s

from dicom_node import cli, housekeeping, node  # noqa: E402 - after the clock is set
from dicom_node.domain.work import DELIVERY_RETRY  # noqa: E402 - as above

object.__setattr__(DELIVERY_RETRY, "first_s", 0.2)
object.__setattr__(DELIVERY_RETRY, "longest_s", 1.0)
node.LEASE_S = 1.5
housekeeping.RESCUE_EVERY_S = 1

if __name__ == "__main__":
    sys.exit(cli.main([sys.argv[1], "-c", sys.argv[2]]))
