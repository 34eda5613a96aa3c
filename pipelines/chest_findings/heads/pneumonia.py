"""Read a chest radiograph for pneumonia: adults, or children.

A radiograph does not tell its patient's age, so a route chooses: this task
scores adults, `paediatric` beside it scores children.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from dicom_node.domain.codes import LUNG, PNEUMONIA
from dicom_node.domain.findings import Finding, Presence, Segment, Side
from pipelines.anatomy.pipeline import AnatomyPipeline
from pipelines.chest_findings.boxes import box_of, refined, regions
from pipelines.chest_findings.codes import CHILD_PNEUMONIA
from pipelines.chest_findings.head import Head, LabelAnswer, checked, side_of
from pipelines.chest_findings.reading import SharedModel, open_model
from pipelines.geometry import box_to_stored, standard_from_network

USES = ("anatomy",)
"""Pipelines that `load` takes by name, where they are installed."""
NAME = "pneumonia"
CODE = PNEUMONIA
SITE = LUNG
ADULT = "Pneumonia"
CHILD = CHILD_PNEUMONIA
"""Columns of the shared network; both are labels of this task's model.toml."""
MAP = "Pneumonia"
SEGMENT_LABEL = "Pneumonia (region that the score comes from)"

ADULT_HEAD = "scored as an adult's radiograph; for children route to pneumonia_paediatric"
CHILD_HEAD = "scored as a child's radiograph"
REGION_IS_COARSE = "the region shows where the score comes from; it is no outline of the disease"


def load(
    models_dir: Path,
    device: str = "auto",
    threads: int = 0,
    anatomy: AnatomyPipeline | None = None,
) -> Head:
    """Load the model of `models_dir`/pneumonia, for adults; BadSettings if unfit."""
    model = open_model(models_dir, NAME, device, threads)
    return replace(head_on(model, NAME, ADULT, ADULT_HEAD), anatomy=anatomy)


def head_on(model: SharedModel, name: str, label: str, remark: str) -> Head:
    """Make the head for one kind of patient; BadSettings if the label is missing."""
    coarse = (REGION_IS_COARSE,)
    return checked(Head(model, name, (label,), _find, (remark,), coarse))


def _find(answer: LabelAnswer) -> Finding:
    """Turn the network's answer into a finding; an absent one has no region."""
    geometry = answer.geometry
    fine = refined(answer.output.map_of(MAP))
    found = regions(fine, answer.map_fraction) if answer.presence is Presence.PRESENT else []
    boxes = [box_of(region, float(fine[region].max())) for region in found]
    segment, side = None, Side.UNDETERMINED
    if found:
        drawn = standard_from_network(found[0].astype(np.float32), geometry) > 0.5
        stored = np.ascontiguousarray(geometry.to_stored(drawn), dtype=np.bool_)
        segment = Segment(stored, SEGMENT_LABEL) if stored.any() else None
        side = side_of(boxes[0].x + boxes[0].width / 2, answer.radiograph)
    return Finding(
        code=CODE,
        presence=answer.presence,
        probability=answer.probability,
        operating_point=answer.point,
        site=SITE,
        side=side,
        segment=segment,
        boxes=tuple(box_to_stored(box, geometry) for box in boxes),
    )
