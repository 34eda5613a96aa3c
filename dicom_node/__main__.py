"""Lets `python -m dicom_node` be `dicom-node`."""

import sys

from dicom_node.commands.cli import main

if __name__ == "__main__":
    sys.exit(main())
