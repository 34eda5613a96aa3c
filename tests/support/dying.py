"""The asking process of a crash test: `python -m tests.support.dying CONFIG`."""

import sys
from pathlib import Path

from dicom_node.assembly import commitment
from dicom_node.assembly import parts as node
from dicom_node.process import crash_points
from dicom_node.settings.settings import load_settings


def main() -> None:
    """Ask the first peer once; the environment says where to die."""
    parts = node.open_parts(load_settings(Path(sys.argv[1])))
    crash_points.arm("deliver")
    commitment.ask_peer(parts, parts.settings.peers[0])


if __name__ == "__main__":
    main()
