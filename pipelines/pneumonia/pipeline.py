"""Read a chest radiograph for pneumonia: adults, or children."""

from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

import numpy as np

from dicom_node.domain.errors import BadSettings
from dicom_node.domain.findings import Finding, Findings, Presence, Segment, Side
from dicom_node.domain.ports import Check
from dicom_node.domain.study import Radiograph
from pipelines.chest_findings.boxes import box_of, refined, regions
from pipelines.chest_findings.reading import (
    Answer,
    SharedModel,
    notes_of,
    open_model,
    presence_of,
    side_of,
)
from pipelines.labelled import Label
from pipelines.pneumonia import codes
from pipelines.pneumonia.preprocess import box_to_stored, standard_from_network

NAME = "pneumonia"


@dataclass(frozen=True, slots=True)
class PneumoniaPipeline:
    """The reading task with its loaded model, for one kind of patient.

    A radiograph does not tell its patient's age, so a route chooses: this task
    scores adults, `pipelines.pneumonia.paediatric` scores children.
    """

    model: SharedModel
    name: str = NAME
    """The name used in routes."""
    head: str = codes.ADULT

    @property
    def version(self) -> str:
        """The model's version."""
        return self.model.manifest.version

    @property
    def device(self) -> str:
        """Where the network computes, in words."""
        return self.model.session.device

    def read(self, radiograph: Radiograph) -> Findings:
        """Read one radiograph; NotAnalysable for an image without content."""
        answer = self.model.answer(radiograph)
        inferred = perf_counter()
        (label,) = (one for one in self.model.manifest.labels if one.name == self.head)
        finding = _finding(self.model, label, answer, radiograph)
        took = {"postprocess": 1000 * (perf_counter() - inferred)}
        words = codes.CHILD_HEAD if self.head == codes.CHILD else codes.ADULT_HEAD
        return Findings(
            algorithm=replace(self.model.algorithm, name=self.name),
            findings=(finding,),
            notes=(*notes_of(radiograph, (finding,), codes.REGION_IS_COARSE), words),
            timings_ms=answer.timings_ms | took,
        )

    def verify(self) -> tuple[Check, ...]:
        """Check the weights and that the phantoms are read as at release."""
        return self.model.verify()


def load(models_dir: Path, device: str = "auto", threads: int = 0) -> PneumoniaPipeline:
    """Load the model of `models_dir`/pneumonia, for adults; BadSettings if unfit."""
    model = open_model(models_dir, NAME, device, threads)
    missing = {codes.ADULT, codes.CHILD} - {label.name for label in model.manifest.labels}
    if missing:
        raise BadSettings(f"{models_dir / NAME}: model.toml lacks labels {sorted(missing)}")
    return PneumoniaPipeline(model)


def _finding(model: SharedModel, label: Label, answer: Answer, radiograph: Radiograph) -> Finding:
    """Turn the network's answer into a finding; an absent one has no region."""
    probability = label.calibration.probability(float(answer.scores[label.column]))
    presence = presence_of(label, probability)
    fine = refined(answer.map_of(codes.MAP))
    found = regions(fine, model.manifest.map_fraction) if presence is Presence.PRESENT else []
    boxes = [box_of(region, float(fine[region].max())) for region in found]
    segment, side = None, Side.UNDETERMINED
    if found:
        drawn = standard_from_network(found[0].astype(np.float32), answer.geometry) > 0.5
        stored = np.ascontiguousarray(answer.geometry.to_stored(drawn), dtype=np.bool_)
        segment = Segment(stored, codes.SEGMENT_LABEL) if stored.any() else None
        side = side_of(boxes[0].x + boxes[0].width / 2, radiograph)
    return Finding(
        code=codes.CODE,
        presence=presence,
        probability=probability,
        operating_point=label.point,
        site=codes.SITE,
        side=side,
        segment=segment,
        boxes=tuple(box_to_stored(box, answer.geometry) for box in boxes),
    )
