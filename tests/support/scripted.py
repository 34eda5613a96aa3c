"""A pipeline without weights that says what a test wants."""

from dataclasses import dataclass

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
from dicom_node.domain.pipeline import Check
from dicom_node.domain.study import Radiograph


@dataclass
class Scripted:
    """A pneumothorax reader of a given version and conclusion."""

    version: str = "1"
    presence: Presence = Presence.PRESENT
    name: str = "pneumothorax"
    device: str = "none"

    def read(self, radiograph: Radiograph) -> Findings:
        mask = np.zeros(radiograph.pixels.shape, bool)
        mask[40:120, 30:80] = True
        present = self.presence is Presence.PRESENT
        finding = Finding(
            codes.PNEUMOTHORAX,
            self.presence,
            0.9 if present else 0.1,
            OperatingPoint("balanced", 0.5, 0.9, 0.9),
            codes.PLEURA,
            side=Side.RIGHT if present else Side.UNDETERMINED,
            urgent=present,
            segment=Segment(mask, "Pneumothorax") if present else None,
        )
        return Findings(Algorithm(self.name, self.version, self.version * 64), (finding,))

    def verify(self) -> tuple[Check, ...]:
        return ()
