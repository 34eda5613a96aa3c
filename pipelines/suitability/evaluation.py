"""Measure what the gate accepts and rejects, through the serving code."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dicom_node.domain.errors import BadSettings
from pipelines.datasets.hannover import read_elsewhere
from pipelines.geometry import open_square
from pipelines.measuring.binary import mean_of
from pipelines.measuring.report import Report, finish, parse
from pipelines.suitability import codes
from pipelines.suitability.cases import Frontal, Other, read_frontals, read_others
from pipelines.suitability.pipeline import NAME, SuitabilityPipeline, load

Image = NDArray[np.float32]
AS_IT_IS: Callable[[Image], Image] = np.asarray
CHANGES: dict[str, tuple[Callable[[Image], Image], str]] = {
    "turned by 90 degrees": (lambda image: np.rot90(image, 1), codes.rotated(90)),
    "turned by 180 degrees": (lambda image: np.rot90(image, 2), codes.rotated(180)),
    "turned by 270 degrees": (lambda image: np.rot90(image, 3), codes.rotated(270)),
    "inverted": (lambda image: 1 - image, codes.INVERTED),
}


def evaluate(arguments: list[str]) -> int:
    """Print the table of the suitability model on one split."""
    options = parse(NAME, arguments, __doc__)
    pipeline = load(options.models, options.device)
    cases = [case for case in read_frontals(options.data) if case.split == options.split]
    if not cases:
        raise BadSettings(f"--data {options.data}: no radiographs in split {options.split!r}")
    report = {"frontal chests": accepted(pipeline, cases)}
    for source in sorted({case.source for case in cases}):
        report[f"frontal chests: {source}"] = accepted(
            pipeline, [case for case in cases if case.source == source]
        )
    for view in ("AP", "PA"):
        away = [film for film in read_elsewhere(options.data) if film.view == view]
        if away:
            films = [Frontal(film.image, film.patient_id, film.split, film.source) for film in away]
            report[f"frontal chests: another hospital, {view}"] = accepted(pipeline, films)
    of_nih = [case for case in cases if case.source == "nih"]
    for name, (change, reason) in CHANGES.items():
        report[f"ChestX-ray14, {name}"] = declined(pipeline, of_nih, change, reason)
    others = read_others(options.data)
    for part in ("test", "train"):
        mine = [case for case in others if case.split == part]
        report[f"other pictures, {part} half"] = rejected(pipeline, mine)
    sha256 = pipeline.manifest.sha256
    finish(Report(NAME, pipeline.version, sha256, options.split, report), options)
    return 0


def reason_of(pipeline: SuitabilityPipeline, path: Path, change: Callable[[Image], Image]) -> str:
    """Say why the gate declines a picture file; empty where it does not."""
    image = change(open_square(path, pipeline.manifest.input.size))
    (verdict,) = pipeline.infer([np.ascontiguousarray(image)])
    return verdict.reason(pipeline.manifest) or ""


def accepted(pipeline: SuitabilityPipeline, cases: list[Frontal]) -> dict[str, object]:
    """Give the share that passes, and why the others do not."""
    reasons = [reason_of(pipeline, case.image, AS_IT_IS) for case in cases]
    passed = np.asarray([not reason for reason in reasons], np.float64)
    patients = [case.patient_id for case in cases]
    found: dict[str, object] = {
        "images": len(cases),
        "accepted": mean_of(passed, patients),
    }
    for case, reason in zip(cases, reasons, strict=True):
        if reason:
            found[case.image.name] = reason
    return found


def declined(
    pipeline: SuitabilityPipeline,
    cases: list[Frontal],
    change: Callable[[Image], Image],
    reason: str,
) -> dict[str, object]:
    """Give the share of changed radiographs that is declined, and for the right reason."""
    told = [reason_of(pipeline, case.image, change) for case in cases]
    patients = [case.patient_id for case in cases]
    shares = {
        "declined": np.asarray([bool(words) for words in told], np.float64),
        "right reason": np.asarray([words == reason for words in told], np.float64),
    }
    return {
        "images": len(cases),
        **{name: mean_of(values, patients) for name, values in shares.items()},
    }


def rejected(pipeline: SuitabilityPipeline, cases: list[Other]) -> dict[str, object]:
    """Give the share of other pictures that is declined, and name those that pass."""
    told = [reason_of(pipeline, case.image, AS_IT_IS) for case in cases]
    values = np.asarray([bool(words) for words in told], np.float64)
    names = [case.image.name for case in cases]
    found: dict[str, object] = {
        "images": len(cases),
        "rejected": mean_of(values, names),
    }
    for kind in sorted({case.kind for case in cases}):
        mine = [bool(w) for w, case in zip(told, cases, strict=True) if case.kind == kind]
        found[kind] = f"{sum(mine)} of {len(mine)}"
    for case, words in zip(cases, told, strict=True):
        if not words:
            found[case.image.name] = "accepted"
    return found
