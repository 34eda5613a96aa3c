"""A pipeline without weights, so that a worker starts in a second.

READER_TAKES_S in the environment makes it slow; READER_DIES_OF names an image (SOP
Instance UID) that kills its process, READER_HANGS_ON one that it never finishes.
"""

import os
import time
from pathlib import Path

import numpy as np

from dicom_node.domain import codes
from dicom_node.domain.findings import (
    Algorithm,
    Finding,
    Findings,
    OperatingPoint,
    Presence,
    Segment,
    Side,
)
from dicom_node.domain.pipeline import Check, Pipeline
from dicom_node.domain.study import Radiograph


class AlwaysUrgent:
    """Finds the same urgent pneumothorax in every image."""

    name, version, device = "pneumothorax", "1", "none"

    def read(self, radiograph: Radiograph) -> Findings:
        if radiograph.ref.sop_instance_uid == os.environ.get("READER_DIES_OF"):
            os._exit(9)  # as by a fault in a decoder's or an accelerator's own code
        hangs = radiograph.ref.sop_instance_uid == os.environ.get("READER_HANGS_ON")
        time.sleep(3600 if hangs else float(os.environ.get("READER_TAKES_S", "0")))
        mask = np.zeros(radiograph.pixels.shape, bool)
        mask[20:60, 20:40] = True
        point = OperatingPoint("balanced", 0.5, 0.9, 0.9)
        finding = Finding(
            codes.PNEUMOTHORAX,
            Presence.PRESENT,
            0.9,
            point,
            codes.PLEURA,
            side=Side.RIGHT,
            urgent=True,
            segment=Segment(mask, "Pneumothorax"),
        )
        return Findings(Algorithm(self.name, self.version, "0" * 64), (finding,))

    def verify(self) -> tuple[Check, ...]:
        return ()


def load(models: Path, device: str, threads: int) -> Pipeline:
    return AlwaysUrgent()
