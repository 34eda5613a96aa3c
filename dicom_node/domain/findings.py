"""What a pipeline says about a radiograph."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from dicom_node.domain.errors import BadSettings

if TYPE_CHECKING:  # whoever reads settings needs no numpy
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class CodedConcept:
    """A coded entry (PS3.3 8.8)."""

    value: str
    scheme: str
    meaning: str


class Presence(Enum):
    """CID 240 in words."""

    PRESENT = "present"
    ABSENT = "absent"
    UNDETERMINED = "undetermined"


class Side(Enum):
    """The patient's side, never the image's."""

    RIGHT = "right"
    LEFT = "left"
    BOTH = "both"
    UNDETERMINED = "undetermined"


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A threshold on the calibrated probability, with what it achieved."""

    name: str
    threshold: float
    sensitivity: float
    specificity: float
    measured: bool = field(default=True, kw_only=True)
    """False for a site's own threshold: then the shares are the least to expect."""


@dataclass(frozen=True, slots=True)
class PointChoice:
    """Which operating point a route asks for; by default the model's own."""

    name: str = ""
    threshold: float = 0.0
    """A threshold of the site's, 0..1, that goes before `name`; 0: not set."""


OWN_POINT = PointChoice()


def chosen_point(
    choice: PointChoice, points: Mapping[str, OperatingPoint], own: OperatingPoint
) -> OperatingPoint:
    """Give the operating point that was asked for.

    `own` is the model's default. Raises BadSettings for a name that is not in `points`.
    """
    if choice.threshold > 0:
        return _site_point(choice.threshold, tuple(points.values()))
    if not choice.name:
        return own
    if choice.name not in points:
        raise BadSettings(
            f"operating_point = {choice.name!r}: the model has {', '.join(points) or 'none'}"
        )
    return points[choice.name]


def _site_point(threshold: float, measured: tuple[OperatingPoint, ...]) -> OperatingPoint:
    """Bound what a threshold achieves by the measured ones on both sides of it.

    A lower threshold misses no more, a higher one calls no more.
    """
    return OperatingPoint(
        "site",
        threshold,
        max((point.sensitivity for point in measured if point.threshold >= threshold), default=0.0),
        max((point.specificity for point in measured if point.threshold <= threshold), default=0.0),
        measured=False,
    )


@dataclass(frozen=True, slots=True)
class Measurement:
    """One number with its unit, and the line it was measured along.

    `line` holds two (row, column) points in stored pixels, SCOORD convention
    (the first pixel's centre is 0.5, 0.5).
    """

    concept: CodedConcept
    value: float
    unit: CodedConcept
    name: str
    """The name for people, for example "maximal interpleural distance"."""
    derivation: CodedConcept | None = None
    line: tuple[tuple[float, float], tuple[float, float]] | None = None


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in stored pixels: left, top, width, height.

    The score, 0..1, ranks boxes; it is no probability, and no report shows it.
    """

    x: float
    y: float
    width: float
    height: float
    score: float


@dataclass(frozen=True, slots=True)
class Segment:
    """A region: bool mask (rows, columns) in stored pixel order."""

    mask: "NDArray[np.bool_]"
    label: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding of a pipeline, absent ones too."""

    code: CodedConcept
    presence: Presence
    probability: float
    """Calibrated, 0..1."""
    operating_point: OperatingPoint
    site: CodedConcept
    side: Side = Side.UNDETERMINED
    urgent: bool = False
    measurements: tuple[Measurement, ...] = ()
    segment: Segment | None = None
    boxes: tuple[Box, ...] = ()
    size_class: str = ""
    """In words with the guideline's name, for example "large (BTS: 2 cm or more at the hilum)"."""
    uncertainty: float | None = None
    """Standard deviation of an ensemble's probabilities; None for a single model."""


@dataclass(frozen=True, slots=True)
class Algorithm:
    """Who made a result: pipeline, version and the weights' SHA-256 (hex)."""

    name: str
    version: str
    model_sha256: str


@dataclass(frozen=True, slots=True)
class Findings:
    """All that one pipeline says about one radiograph."""

    algorithm: Algorithm
    findings: tuple[Finding, ...] = ()
    not_analysed: str | None = None
    """The reason, when the pipeline declined to read; then `findings` is empty."""
    notes: tuple[str, ...] = ()
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    generation: int = 0
    """How often this reading came back after another had taken its place."""

    @property
    def points(self) -> tuple[str, ...]:
        """Name the operating points that the findings were judged at."""
        named = (finding.operating_point for finding in self.findings)
        return tuple(dict.fromkeys(f"{point.name} {point.threshold:g}" for point in named))

    @property
    def urgent(self) -> bool:
        """Whether any finding is urgent."""
        return any(finding.urgent for finding in self.findings)

    @property
    def positive(self) -> bool:
        """Whether any finding is present."""
        return any(finding.presence is Presence.PRESENT for finding in self.findings)


def finding_as_json(finding: Finding) -> dict[str, object]:
    """Describe a finding as in `findings.json` (DESIGN section 5); masks stay out."""
    point = finding.operating_point
    return {
        "code": {
            "value": finding.code.value,
            "scheme": finding.code.scheme,
            "meaning": finding.code.meaning,
        },
        "present": finding.presence.value,
        "probability": round(finding.probability, 4),
        "uncertainty": None if finding.uncertainty is None else round(finding.uncertainty, 4),
        "operating_point": {
            "name": point.name,
            "threshold": point.threshold,
            "sensitivity": point.sensitivity,
            "specificity": point.specificity,
            "measured": point.measured,
        },
        "side": finding.side.value,
        "urgent": finding.urgent,
        "size_class": finding.size_class,
        "measurements": [
            {"name": m.name, "value": round(m.value, 2), "unit": m.unit.value}
            for m in finding.measurements
        ],
        "boxes": [[b.x, b.y, b.width, b.height, b.score] for b in finding.boxes],
    }


def findings_as_json(findings: Findings) -> dict[str, object]:
    """Describe a pipeline's findings as in `findings.json` and the results table."""
    algorithm = findings.algorithm
    return {
        "not_analysed": findings.not_analysed,
        "pipeline": {
            "name": algorithm.name,
            "version": algorithm.version,
            "model_sha256": algorithm.model_sha256,
        },
        "findings": [finding_as_json(finding) for finding in findings.findings],
        "notes": list(findings.notes),
        "timings_ms": {name: round(value, 1) for name, value in findings.timings_ms.items()},
    }
