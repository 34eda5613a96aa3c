"""model.toml of a model with several labels, each with rules of its own."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
    InputSpec,
    Member,
    read_input,
    read_members,
    read_operating_points,
    read_sha256,
    read_weights,
)
from pipelines.serving.table import FILE_NAME, Table, open_table


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


@dataclass(frozen=True, slots=True)
class LabelledManifest:
    """One model with several labels: the contract between training and serving."""

    name: str
    version: str
    weights: Path
    sha256: str
    input: InputSpec
    outputs: tuple[str, ...]
    labels: tuple[Label, ...]
    map_fraction: float
    """Regions are cut out of a map at this share of its peak."""
    phantom_side: int
    phantom_tolerance: float
    references: tuple[ScoreReference, ...]
    validation: str
    training_sources: tuple[str, ...]
    licences: tuple[str, ...]
    members: tuple[Member, ...] = ()


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
        references=tuple(_reference(one, len(labels)) for one in phantom.tables("references")),
        validation=root.text("validation"),
        training_sources=root.table("training").texts("sources"),
        licences=root.table("training").texts("licences"),
        members=read_members(root),
    )


def _label(table: Table) -> Label:
    points = read_operating_points(table.table("operating_points"))
    default = table.text("default_operating_point")
    if default not in points:
        raise table.wrong("default_operating_point", f"is {default!r}; known are {sorted(points)}")
    return Label(
        name=table.text("name"),
        column=table.whole("column", 0, 1000),
        code=CodedConcept(table.text("value"), table.text("scheme"), table.text("meaning")),
        calibration=Calibration(table.number("slope", low=1e-6), table.number("intercept")),
        operating_points=points,
        default=default,
    )


def _reference(table: Table, labels: int) -> ScoreReference:
    values = table.values.get("probabilities")
    if not isinstance(values, list) or len(values) != labels:
        raise table.wrong("probabilities", f"must be a list of {labels} numbers, one per label")
    return ScoreReference(
        table.whole("seed", 0, 1 << 30),
        table.text("condition"),
        tuple(float(value) for value in values),
    )


def write_labelled(folder: Path, manifest: LabelledManifest, weights: str) -> LabelledManifest:
    """Write `model.toml`, and read it back as serving will.

    `weights` is the file's path as seen from `folder`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = [_identity(manifest, weights)]
    parts += [_label_words(label) for label in manifest.labels]
    parts += [_phantom(manifest.phantom_side, manifest.phantom_tolerance, manifest.references)]
    parts += [
        f"[training]\nsources = {json.dumps(manifest.training_sources, indent=4)}\n"
        f"licences = {json.dumps(manifest.licences, indent=4)}\n"
    ]
    (folder / FILE_NAME).write_text("\n".join(parts), encoding="utf-8")
    return load_labelled(folder)


def _identity(manifest: LabelledManifest, weights: str) -> str:
    return f"""\
# The contract between training and serving, written by pipelines/chest_findings/release.py.
# `dicom-node models verify` checks the weights and the phantoms against it.
# NOT FOR DIAGNOSTIC USE.
name = "{manifest.name}"
version = "{manifest.version}"
weights = "{weights}"
sha256 = "{manifest.sha256}"
outputs = {json.dumps(manifest.outputs)}  # scores: (N, columns) logits; maps: (N, 8, h, w), 0..1
map_fraction = {manifest.map_fraction:.2f}
validation = "{manifest.validation}"

[input]  # (N, 1, size, size), (value - mean) / std of a 0..1 square, see preprocess.py
name = "{manifest.input.name}"
size = {manifest.input.size}
mean = {manifest.input.mean}
std = {manifest.input.std}
"""


def _label_words(label: Label) -> str:
    points = "\n".join(
        f"{point.name} = {{ threshold = {point.threshold:.5f}, "
        f"sensitivity = {point.sensitivity:.4f}, specificity = {point.specificity:.4f} }}"
        for point in label.operating_points.values()
    )
    return f"""\
[[labels]]
name = "{label.name}"
column = {label.column}
value = "{label.code.value}"
scheme = "{label.code.scheme}"
meaning = "{label.code.meaning}"
slope = {label.calibration.slope:.6f}  # probability = 1 / (1 + exp(-(slope * logit + intercept)))
intercept = {label.calibration.intercept:.6f}
default_operating_point = "{label.default}"
[labels.operating_points]  # on the calibrated probability; measured on validation
{points}
"""


def _phantom(side: int, tolerance: float, references: Sequence[ScoreReference]) -> str:
    entries = "\n".join(
        f"""
[[phantom.references]]
seed = {one.seed}
condition = "{one.condition}"
probabilities = {json.dumps([round(value, 4) for value in one.probabilities])}"""
        for one in references
    )
    return f"""\
[phantom]  # what this model says about the digital phantoms: the constancy test
side = {side}
tolerance = {tolerance}
{entries}
"""
