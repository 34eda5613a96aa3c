"""The contract between training and serving: model.toml."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dicom_node.domain.findings import CodedConcept, OperatingPoint
from pipelines.serving.table import Table, open_table

WEIGHTS = "model.onnx"
SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class InputSpec:
    """What the network wants to see: a grey square, (value - mean) / std."""

    name: str
    size: int
    mean: float
    std: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """Platt's scaling: from the network's logit to a probability."""

    slope: float
    intercept: float

    def probability(self, logit: float) -> float:
        """Give the calibrated probability, 0..1."""
        exponent = -(self.slope * logit + self.intercept)
        return 1.0 / (1.0 + math.exp(min(max(exponent, -700.0), 700.0)))

    def probabilities(self, logits: NDArray[np.floating]) -> NDArray[np.float64]:
        """Give the calibrated probabilities of an array, each 0..1."""
        exponents = np.clip(-(self.slope * logits + self.intercept), -700.0, 700.0)
        return np.asarray(1 / (1 + np.exp(exponents)), np.float64)


@dataclass(frozen=True, slots=True)
class Member:
    """Another file of weights that answers with the first one, calibrated for itself."""

    weights: Path
    sha256: str
    calibrations: tuple[Calibration, ...]
    """One per label, in the manifest's order."""


@dataclass(frozen=True, slots=True)
class PhantomReference:
    """What this model said about one digital phantom when it was released."""

    seed: int
    condition: str
    probability: float = 0.0
    mask_mm2: float = 0.0


@dataclass(frozen=True, slots=True)
class Constancy:
    """The phantom constancy test: film size, tolerances, expected answers."""

    rows: int
    columns: int
    probability_tolerance: float
    mask_tolerance_mm2: float
    references: tuple[PhantomReference, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What every model says of itself, whatever its labels."""

    name: str
    version: str
    weights: Path
    sha256: str
    """The digest of the weights, hexadecimal."""
    input: InputSpec
    outputs: tuple[str, ...]
    """The names of what the network gives."""
    validation: str
    """What the calibration was chosen on, in words."""
    training_sources: tuple[str, ...]
    licences: tuple[str, ...]
    members: tuple[Member, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelManifest(Manifest):
    """One model with one calibrated answer: outputs, thresholds, reference answers."""

    labels: Mapping[str, CodedConcept]
    operating_points: Mapping[str, OperatingPoint]
    default: str
    """The operating point that decides about presence."""
    urgent: str
    calibration: Calibration
    mask_threshold: float
    constancy: Constancy

    @property
    def default_operating_point(self) -> OperatingPoint:
        """The operating point that decides about presence."""
        return self.operating_points[self.default]

    @property
    def urgent_operating_point(self) -> OperatingPoint:
        """The operating point from which on a finding is urgent."""
        return self.operating_points[self.urgent]


def load_manifest(folder: Path) -> ModelManifest:
    """Read and check a model folder's `model.toml`.

    Raises BadSettings, which names the file, the key and what to do.
    """
    root = open_table(folder)
    points = read_operating_points(root.table("operating_points"))
    calibration = root.table("calibration")
    return ModelManifest(
        name=root.text("name"),
        version=root.text("version"),
        weights=read_weights(root),
        sha256=read_sha256(root),
        input=read_input(root.table("input")),
        outputs=root.texts("outputs"),
        labels={
            name: read_concept(root.table("labels").table(name))
            for name in root.table("labels").values
        },
        operating_points=points,
        default=read_chosen(root, "default_operating_point", points),
        urgent=read_chosen(root, "urgent_operating_point", points),
        calibration=_calibration(calibration),
        validation=str(calibration.values.get("validation", "none")),
        mask_threshold=root.number("mask_threshold", 0.0, 1.0),
        constancy=_constancy(root.table("phantom")),
        training_sources=root.table("training").texts("sources"),
        licences=root.table("training").texts("licences"),
        members=read_members(root),
    )


def read_sha256(root: Table) -> str:
    """Read the weights' digest."""
    sha256 = root.text("sha256")
    if not SHA256.fullmatch(sha256):
        raise root.wrong("sha256", "must be 64 hexadecimal digits in lower case")
    return sha256


def read_weights(root: Table) -> Path:
    """Read where the weights are: beside model.toml, or in a sibling's folder."""
    weights = Path(root.text("weights"))
    own = weights.name == str(weights)
    if not own and not (len(weights.parts) == 3 and weights.parts[0] == ".." != weights.parts[1]):
        raise root.wrong("weights", "must be a file beside model.toml, or ../OTHER/FILE")
    return root.path.parent / weights


def read_members(root: Table) -> tuple[Member, ...]:
    """Read the other files of an ensemble; none without `[[members]]`."""
    if "members" not in root.values:
        return ()
    members = []
    for table in root.tables("members"):
        slopes, intercepts = table.numbers("slopes"), table.numbers("intercepts")
        if len(slopes) != len(intercepts) or not all(slope > 0 for slope in slopes):
            raise table.wrong("slopes", "must be above 0, as many as intercepts")
        calibrations = tuple(map(Calibration, slopes, intercepts))
        members.append(Member(read_weights(table), read_sha256(table), calibrations))
    return tuple(members)


def read_input(table: Table) -> InputSpec:
    """Read what the network wants to see."""
    size = table.whole("size", 32, 4096)
    if size % 32:
        raise table.wrong("size", f"is {size}, not a multiple of 32")
    return InputSpec(table.text("name"), size, table.number("mean"), table.number("std", low=1e-6))


def read_concept(table: Table) -> CodedConcept:
    """Read a coded concept."""
    return CodedConcept(table.text("value"), table.text("scheme"), table.text("meaning"))


def read_operating_points(table: Table) -> dict[str, OperatingPoint]:
    """Read the operating points by name."""
    points = {}
    for name in table.values:
        point = table.table(name)
        numbers = [
            point.number(key, 0.0, 1.0) for key in ("threshold", "sensitivity", "specificity")
        ]
        points[name] = OperatingPoint(name, *numbers)
    return points


def read_chosen(table: Table, key: str, points: Mapping[str, OperatingPoint]) -> str:
    """Read the name of one of the operating points."""
    name = table.text(key)
    if name not in points:
        raise table.wrong(key, f"is {name!r}; known are {', '.join(sorted(points)) or 'none'}")
    return name


def read_platt(table: Table) -> Calibration:
    """Read slope and intercept."""
    return Calibration(table.number("slope", low=1e-6), table.number("intercept"))


def _calibration(table: Table) -> Calibration:
    if table.text("method") != "platt":
        raise table.wrong("method", "must be 'platt'")
    return read_platt(table)


def _constancy(table: Table) -> Constancy:
    return Constancy(
        rows=table.whole("rows", 64, 4096),
        columns=table.whole("columns", 64, 4096),
        probability_tolerance=table.number("probability_tolerance", 0.0, 1.0),
        mask_tolerance_mm2=table.number("mask_tolerance_mm2", 0.0),
        references=tuple(
            PhantomReference(
                seed=entry.whole("seed", 0, 1 << 30),
                condition=entry.text("condition"),
                probability=entry.number("probability", 0.0, 1.0),
                mask_mm2=entry.number("mask_mm2", 0.0),
            )
            for entry in table.tables("references")
        ),
    )
