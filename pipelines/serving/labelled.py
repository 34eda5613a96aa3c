"""model.toml of a model with several labels, each with rules of its own."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dicom_node.domain.findings import (
    OWN_POINT,
    CodedConcept,
    OperatingPoint,
    PointChoice,
    chosen_point,
)
from pipelines.serving.manifest import (
    Calibration,
    Manifest,
    read_chosen,
    read_concept,
    read_input,
    read_members,
    read_operating_points,
    read_platt,
    read_sha256,
    read_weights,
)
from pipelines.serving.table import Table, open_table


@dataclass(frozen=True, slots=True)
class Label:
    """One output: its column of the scores, its concept, its thresholds."""

    name: str
    column: int
    code: CodedConcept
    calibration: Calibration
    operating_points: Mapping[str, OperatingPoint]
    default: str
    """The operating point that decides about presence."""
    view_intercepts: Mapping[str, float] = field(default_factory=dict)
    """The calibration's intercept by view position (PA, AP), where it was measured."""

    def calibration_of(self, view: str) -> Calibration:
        """Give the calibration of films of a view position (PS3.3 C.8.11.5), "" for any."""
        intercept = self.view_intercepts.get(view.upper(), self.calibration.intercept)
        return Calibration(self.calibration.slope, intercept)

    def point(self, choice: PointChoice = OWN_POINT) -> OperatingPoint:
        """Give the operating point that decides about presence; raises BadSettings."""
        return chosen_point(choice, self.operating_points, self.operating_points[self.default])


@dataclass(frozen=True, slots=True)
class ScoreReference:
    """What this model said about one digital phantom when it was released."""

    seed: int
    condition: str
    probabilities: tuple[float, ...]
    """One per label, in the manifest's order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledManifest(Manifest):
    """One model with several labels: the contract between training and serving."""

    labels: tuple[Label, ...]
    map_fraction: float
    """Regions are cut out of a map at this share of its peak."""
    phantom_side: int
    phantom_tolerance: float
    references: tuple[ScoreReference, ...]


def load_labelled(folder: Path) -> LabelledManifest:
    """Read and check a model folder's `model.toml`; raises BadSettings."""
    root = open_table(folder)
    labels = tuple(_label(table) for table in root.tables("labels"))
    phantom = root.table("phantom")
    return LabelledManifest(
        name=root.text("name"),
        version=root.text("version"),
        weights=read_weights(root),
        sha256=read_sha256(root),
        input=read_input(root.table("input")),
        outputs=root.texts("outputs"),
        labels=labels,
        map_fraction=root.number("map_fraction", 0.0, 1.0),
        phantom_side=phantom.whole("side", 64, 4096),
        phantom_tolerance=phantom.number("tolerance", 0.0, 1.0),
        references=tuple(
            _reference(reference, len(labels)) for reference in phantom.tables("references")
        ),
        validation=root.text("validation"),
        training_sources=root.table("training").texts("sources"),
        licences=root.table("training").texts("licences"),
        members=read_members(root),
    )


def _label(table: Table) -> Label:
    points = read_operating_points(table.table("operating_points"))
    return Label(
        name=table.text("name"),
        column=table.whole("column", 0, 1000),
        code=read_concept(table),
        calibration=read_platt(table),
        operating_points=points,
        default=read_chosen(table, "default_operating_point", points),
        view_intercepts=_view_intercepts(table),
    )


def _view_intercepts(table: Table) -> dict[str, float]:
    if "view_intercepts" not in table.values:
        return {}
    views = table.table("view_intercepts")
    return {view: views.number(view) for view in views.values}


def _reference(table: Table, labels: int) -> ScoreReference:
    values = table.numbers("probabilities")
    if len(values) != labels:
        raise table.wrong("probabilities", f"must be a list of {labels} numbers, one per label")
    return ScoreReference(table.whole("seed", 0, 1 << 30), table.text("condition"), values)
