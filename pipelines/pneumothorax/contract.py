"""Write this task's model.toml."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from dicom_node.domain.findings import OperatingPoint
from pipelines.pneumothorax import codes
from pipelines.release.contract import OTHERS_LICENCES
from pipelines.serving.manifest import Member, PhantomReference

PHANTOM_SIZE = 512
PROBABILITY_TOLERANCE = 0.03
MASK_TOLERANCE_MM2 = 150.0
"""Engines and devices round differently; a drifted model is off by far more."""
SOURCES = (
    "NIH ChestX-ray14, copies of 448 px, training split (SIIM-ACR, Google and box labels first)",
    "SIIM-ACR pneumothorax stage 2, copies of 384 px, labelled by a published classifier",
    "digital phantoms of pipelines/phantom",
    "ImageNet MobileNetV2 weights derived from Google Coral, as the encoder's start",
)
LICENCES = (
    "NIH ChestX-ray14: NIH Clinical Center, free use with attribution (Wang et al., CVPR 2017)",
    "SIIM-ACR masks and labels: SIIM/ACR/STR under the Kaggle competition rules (research)",
    "encoder weights: Apache-2.0",
)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a release has measured of its model."""

    version: str
    weights: str
    sha256: str
    size: int
    slope: float
    intercept: float
    mask_threshold: float
    points: Sequence[OperatingPoint]
    validation: str
    references: Sequence[PhantomReference]
    members: Sequence[Member] = ()
    sources: Sequence[str] = SOURCES


def as_toml(facts: Facts) -> str:
    """Give the text of model.toml."""
    parts = [_identity(facts), _input(facts), _labels()]
    parts += [_point(point) for point in facts.points]
    parts += [
        _calibration(facts),
        *map(_member, facts.members),
        _training(facts.sources),
        _phantom(facts),
    ]
    return "\n".join(parts)


def _identity(facts: Facts) -> str:
    return f"""\
# The contract between training and serving, written by pipelines/pneumothorax/release.py.
# `dicom-node models verify` checks the weights and the phantoms against it.
# NOT FOR DIAGNOSTIC USE.
name = "pneumothorax"
version = "{facts.version}"
weights = "{facts.weights}"
sha256 = "{facts.sha256}"
outputs = ["mask", "presence"]  # mask: (N, 1, H, W) probabilities; presence: (N, 1) logits
mask_threshold = {facts.mask_threshold:.2f}  # best mean Dice on validation
default_operating_point = "balanced"
urgent_operating_point = "high_specificity"
"""


def _input(facts: Facts) -> str:
    return f"""\
[input]  # (N, 1, size, size), (value - mean) / std of a 0..1 square, see preprocess.py
name = "image"
size = {facts.size}
mean = 0.5
std = 0.5
"""


def _labels() -> str:
    code = codes.CODE
    return f"""\
[labels.presence]
value = "{code.value}"
scheme = "{code.scheme}"
meaning = "{code.meaning}"
"""


def _point(point: OperatingPoint) -> str:
    return f"""\
[operating_points.{point.name}]  # on the calibrated probability; measured on validation
threshold = {point.threshold:.4f}
sensitivity = {point.sensitivity:.4f}
specificity = {point.specificity:.4f}
"""


def _calibration(facts: Facts) -> str:
    return f"""\
[calibration]  # probability = 1 / (1 + exp(-(slope * logit + intercept)))
method = "platt"
slope = {facts.slope:.6f}
intercept = {facts.intercept:.6f}
validation = "{facts.validation}"
"""


def _member(member: Member) -> str:
    (calibration,) = member.calibrations
    return f"""\
[[members]]  # answers with the first: the probability is the mean, the spread the uncertainty
weights = "{member.weights.name}"
sha256 = "{member.sha256}"
slopes = [{calibration.slope:.6f}]
intercepts = [{calibration.intercept:.6f}]
"""


def _training(sources: Sequence[str]) -> str:
    licences = LICENCES if sources == SOURCES else OTHERS_LICENCES
    return f"""\
[training]
sources = {json.dumps(sources, indent=4)}
licences = {json.dumps(licences, indent=4)}
"""


def _phantom(facts: Facts) -> str:
    entries = "\n".join(
        f"""
[[phantom.references]]
seed = {reference.seed}
condition = "{reference.condition}"
probability = {reference.probability:.4f}
mask_mm2 = {reference.mask_mm2:.1f}"""
        for reference in facts.references
    )
    return f"""\
[phantom]  # what this model says about the digital phantoms: the constancy test
rows = {PHANTOM_SIZE}
columns = {PHANTOM_SIZE}
probability_tolerance = {PROBABILITY_TOLERANCE}
mask_tolerance_mm2 = {MASK_TOLERANCE_MM2}
{entries}
"""
