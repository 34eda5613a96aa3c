"""A pipeline that fails with the patient's name in its mouth, or finds what is urgent."""

import threading
from pathlib import Path

from dicom_node.domain.findings import Findings
from dicom_node.domain.pipeline import Pipeline
from dicom_node.domain.study import Radiograph
from tests.abuse.privacy.marks import NAME, PATIENT_ID
from tests.support.stand_in_reader import AlwaysUrgent


class Indiscreet(AlwaysUrgent):
    """Fails on every second image, in the worker and in a thread of its own."""

    def __init__(self) -> None:
        self.seen: dict[str, int] = {}

    def read(self, radiograph: Radiograph) -> Findings:
        number = self.seen.setdefault(radiograph.ref.sop_instance_uid, len(self.seen))
        if number % 2 == 0:
            return super().read(radiograph)
        thread = threading.Thread(target=_fail)
        thread.start()
        thread.join()
        raise ValueError(f"cannot read {NAME} ({PATIENT_ID})")


def _fail() -> None:
    raise KeyError(f"{NAME} {PATIENT_ID}")


def load(models: Path, device: str, threads: int) -> Pipeline:
    return Indiscreet()
