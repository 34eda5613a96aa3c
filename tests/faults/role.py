"""Run one role with short leases: python -m tests.faults.role ROLE CONFIG."""

import sys

from dicom_node import cli, housekeeping, node

node.LEASE_S = 1.5
housekeeping.RESCUE_EVERY_S = 1

if __name__ == "__main__":
    sys.exit(cli.main([sys.argv[1], "-c", sys.argv[2]]))
