"""A pipeline without weights, so that a worker starts in a second.

READER_TAKES_S in the environment makes it slow; READER_DIES_OF names an image (SOP
Instance UID) that kills its process, READER_HANGS_ON one that it never finishes.
"""

import os
import time
from pathlib import Path

from dicom_node.domain.findings import Findings
from dicom_node.domain.pipeline import Pipeline
from dicom_node.domain.study import Radiograph
from tests.support.scripted import Scripted


class AlwaysUrgent(Scripted):
    """Finds the same urgent pneumothorax in every image."""

    def read(self, radiograph: Radiograph) -> Findings:
        if radiograph.ref.sop_instance_uid == os.environ.get("READER_DIES_OF"):
            os._exit(9)  # as by a fault in a decoder's or an accelerator's own code
        hangs = radiograph.ref.sop_instance_uid == os.environ.get("READER_HANGS_ON")
        time.sleep(3600 if hangs else float(os.environ.get("READER_TAKES_S", "0")))
        return super().read(radiograph)


def load(models: Path, device: str, threads: int) -> Pipeline:
    return AlwaysUrgent()
