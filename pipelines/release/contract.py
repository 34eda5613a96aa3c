"""Write a model.toml: the manifest that a release has measured."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from dicom_node.domain.findings import OperatingPoint
from pipelines.serving.labelled import LabelledManifest, load_labelled
from pipelines.serving.manifest import (
    WEIGHTS,
    Calibration,
    Constancy,
    InputSpec,
    Manifest,
    ModelManifest,
    PhantomReference,
    load_manifest,
)
from pipelines.serving.table import FILE_NAME

UNFITTED = Calibration(1.0, 0.0)
"""The calibration before anything was measured."""
OTHERS_LICENCES = ("those of the training sources",)
"""Of a model that a user trains on sets of their own."""
PHANTOM_SIZE = 512
PROBABILITY_TOLERANCE = 0.03
"""Engines and devices round differently; a drifted model is off by far more."""
DIGITS, WIDE = 6, 90
HEAD = """\
# The contract between training and serving, written by `dicom-node train {}`.
# `dicom-node models verify` checks the weights and the phantoms against it.
# NOT FOR DIAGNOSTIC USE.
"""
INPUT = "[input]  # (N, 1, size, size), (value - mean) / std of a 0..1 square, see geometry.py"
PLATT = "  # probability = 1 / (1 + exp(-(slope * value + intercept)))"
POINTS = "  # on the calibrated probability; chosen and measured on validation"
MEMBERS = "[[members]]  # the probability is the mean of all, the spread the uncertainty"
PHANTOM = "[phantom]  # what this model says about the digital phantoms: the constancy test"

Values = Mapping[str, object]


def grey_square(size: int) -> InputSpec:
    """Say what every task's network sees: a square of -1..1."""
    return InputSpec("image", size, 0.5, 0.5)


def unmeasured(names: Iterable[str]) -> dict[str, OperatingPoint]:
    """Give the operating points before anything was measured."""
    return {name: OperatingPoint(name, 0.5, 0.0, 0.0) for name in names}


def unread(phantoms: Sequence[tuple[int, str]], mask_tolerance_mm2: float) -> Constancy:
    """Give the constancy test before a phantom was read: seed and condition each."""
    references = tuple(PhantomReference(seed, condition) for seed, condition in phantoms)
    side = PHANTOM_SIZE
    return Constancy(side, side, PROBABILITY_TOLERANCE, mask_tolerance_mm2, references)


def write_manifest(
    folder: Path, manifest: ModelManifest | LabelledManifest, weights: str = WEIGHTS
) -> None:
    """Write `model.toml`, and read it as serving will; raises BadSettings.

    `weights` is the file's path as seen from `folder`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    identity = {
        "name": manifest.name,
        "version": manifest.version,
        "weights": weights,
        "sha256": manifest.sha256,
        "outputs": manifest.outputs,
    }
    load: Callable[[Path], Manifest] = load_manifest
    if isinstance(manifest, LabelledManifest):
        tables, load = _labelled(manifest, identity), load_labelled
    else:
        tables = _single(manifest, identity)
    text = "\n".join(_text(head, values) for head, values in tables)
    (folder / FILE_NAME).write_text(HEAD.format(manifest.name) + text, encoding="utf-8")
    load(folder)


def _single(manifest: ModelManifest, identity: Values) -> Iterator[tuple[str, Values]]:
    points = {
        "mask_threshold": manifest.mask_threshold,
        "default_operating_point": manifest.default,
        "urgent_operating_point": manifest.urgent,
    }
    yield "", {**identity, **points}
    yield INPUT, asdict(manifest.input)
    for name, code in manifest.labels.items():
        yield f"[labels.{name}]", asdict(code)
    for name, point in manifest.operating_points.items():
        yield f"[operating_points.{name}]{POINTS}", _measures(point)
    platt = {"method": "platt", **asdict(manifest.calibration), "validation": manifest.validation}
    yield f"[calibration]{PLATT}", platt
    yield from _sources(manifest)
    *test, references = asdict(manifest.constancy).items()
    yield PHANTOM, dict(test)
    for reference in references[1]:
        yield "[[phantom.references]]", reference


def _labelled(manifest: LabelledManifest, identity: Values) -> Iterator[tuple[str, Values]]:
    cut = {"map_fraction": manifest.map_fraction, "validation": manifest.validation}
    yield "", {**identity, **cut}
    yield INPUT, asdict(manifest.input)
    for label in manifest.labels:
        named = {"name": label.name, "column": label.column, **asdict(label.code)}
        chosen: dict[str, object] = {"default_operating_point": label.default}
        if label.view_intercepts:
            chosen["view_intercepts"] = label.view_intercepts
        yield f"[[labels]]{PLATT}", {**named, **asdict(label.calibration), **chosen}
        points = {name: _measures(point) for name, point in label.operating_points.items()}
        yield f"[labels.operating_points]{POINTS}", points
    yield from _sources(manifest)
    yield PHANTOM, {"side": manifest.phantom_side, "tolerance": manifest.phantom_tolerance}
    for reference in manifest.references:
        yield "[[phantom.references]]", asdict(reference)


def _measures(point: OperatingPoint) -> Values:
    return {key: getattr(point, key) for key in ("threshold", "sensitivity", "specificity")}


def _sources(manifest: Manifest) -> Iterator[tuple[str, Values]]:
    for member in manifest.members:
        slopes = [platt.slope for platt in member.calibrations]
        intercepts = [platt.intercept for platt in member.calibrations]
        identity = {"weights": member.weights.name, "sha256": member.sha256}
        yield MEMBERS, {**identity, "slopes": slopes, "intercepts": intercepts}
    yield "[training]", {"sources": manifest.training_sources, "licences": manifest.licences}


def _text(head: str, values: Values) -> str:
    lines = [f"{key} = {_value(value)}" for key, value in values.items()]
    return "".join(f"{line}\n" for line in ([head, *lines] if head else lines))


def _value(value: object) -> str:
    """Write a value as TOML does."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_value(part)}" for key, part in value.items()) + " }"
    if isinstance(value, float):
        return json.dumps(round(float(value), DIGITS))
    if isinstance(value, Sequence) and not isinstance(value, str):
        parts = [_value(part) for part in value]
        line = ", ".join(parts)
        return f"[{line}]" if len(line) < WIDE else "[\n    " + ",\n    ".join(parts) + ",\n]"
    return json.dumps(value, ensure_ascii=False)
