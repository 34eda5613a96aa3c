"""Write a task's model.toml from what its release has measured."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dicom_node.domain.findings import CodedConcept, OperatingPoint
from pipelines.serving.manifest import ModelManifest, PhantomReference, load_manifest
from pipelines.serving.table import FILE_NAME

WEIGHTS = "model.onnx"
OTHERS_LICENCES = ("those of the training sources",)
"""Of a model that a user trains on sets of their own."""
PHANTOM_SIZE = 512
PROBABILITY_TOLERANCE = 0.03
MASK_TOLERANCE_MM2 = 400.0
"""Engines and devices round differently; a drifted model is off by far more."""


@dataclass(frozen=True, slots=True)
class Contract:
    """All that a model.toml says; `manifest.ModelManifest` is how it is read."""

    name: str
    version: str
    sha256: str
    outputs: Sequence[str]
    size: int
    labels: Mapping[str, CodedConcept]
    points: Sequence[OperatingPoint]
    default_point: str
    slope: float
    intercept: float
    validation: str
    sources: Sequence[str]
    licences: Sequence[str]
    references: Sequence[PhantomReference]
    mask_threshold: float = 0.5
    urgent_point: str = ""
    """Empty: the default one."""


def publish(folder: Path, contract: Contract) -> ModelManifest:
    """Write `model.toml`, and read it back as serving will."""
    (folder / FILE_NAME).write_text(as_toml(contract), encoding="utf-8")
    return load_manifest(folder)


def as_toml(contract: Contract) -> str:
    """Give the text of model.toml."""
    parts = [_identity(contract), _input(contract.size)]
    parts += [_label(name, code) for name, code in contract.labels.items()]
    parts += [_point(point) for point in contract.points]
    parts += [_calibration(contract), _training(contract), _phantom(contract.references)]
    return "\n".join(parts)


def _identity(contract: Contract) -> str:
    return f"""\
# The contract between training and serving, written by `dicom-node train {contract.name}`.
# `dicom-node models verify` checks the weights and the phantoms against it.
# NOT FOR DIAGNOSTIC USE.
name = "{contract.name}"
version = "{contract.version}"
weights = "{WEIGHTS}"
sha256 = "{contract.sha256}"
outputs = {json.dumps(list(contract.outputs))}
mask_threshold = {contract.mask_threshold:.2f}
default_operating_point = "{contract.default_point}"
urgent_operating_point = "{contract.urgent_point or contract.default_point}"
"""


def _input(size: int) -> str:
    return f"""\
[input]  # (N, 1, size, size), (value - mean) / std of a 0..1 square, see preprocess.py
name = "image"
size = {size}
mean = 0.5
std = 0.5
"""


def _label(name: str, code: CodedConcept) -> str:
    return f"""\
[labels.{name}]
value = "{code.value}"
scheme = "{code.scheme}"
meaning = "{code.meaning}"
"""


def _point(point: OperatingPoint) -> str:
    return f"""\
[operating_points.{point.name}]  # chosen and measured on validation
threshold = {point.threshold:.4f}
sensitivity = {point.sensitivity:.4f}
specificity = {point.specificity:.4f}
"""


def _calibration(contract: Contract) -> str:
    return f"""\
[calibration]  # probability = 1 / (1 + exp(-(slope * value + intercept)))
method = "platt"
slope = {contract.slope:.6f}
intercept = {contract.intercept:.6f}
validation = {json.dumps(contract.validation)}
"""


def _training(contract: Contract) -> str:
    return f"""\
[training]
sources = {json.dumps(list(contract.sources), indent=4)}
licences = {json.dumps(list(contract.licences), indent=4)}
"""


def _phantom(references: Sequence[PhantomReference]) -> str:
    entries = "\n".join(
        f"""
[[phantom.references]]
seed = {reference.seed}
condition = "{reference.condition}"
probability = {reference.probability:.4f}
mask_mm2 = {reference.mask_mm2:.1f}"""
        for reference in references
    )
    return f"""\
[phantom]  # what this model says about the digital phantoms: the constancy test
rows = {PHANTOM_SIZE}
columns = {PHANTOM_SIZE}
probability_tolerance = {PROBABILITY_TOLERANCE}
mask_tolerance_mm2 = {MASK_TOLERANCE_MM2}
{entries}
"""
