"""Measure the outlines and the ratio on a split, through the serving code."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dicom_node.domain.errors import BadSettings
from pipelines.anatomy.cases import Case, read_cases, read_labelled
from pipelines.anatomy.outline import outline
from pipelines.anatomy.pipeline import (
    HEART,
    NAME,
    VISIBLE,
    WHOLE,
    AnatomyPipeline,
    grid_outline,
    load,
)
from pipelines.datasets.hannover import read_elsewhere
from pipelines.datasets.picture import open_mask
from pipelines.geometry import Geometry, open_square, to_stored
from pipelines.measuring import metrics
from pipelines.measuring.binary import mean_of, rounded
from pipelines.measuring.curves import Chart, Line
from pipelines.measuring.report import MISSES, Miss, Report, finish, parse


@dataclass(frozen=True, slots=True)
class Marks:
    """What one radiograph's outlines are worth; NaN where truth is unknown."""

    case: Case
    lungs: float
    heart: float
    ratio: float
    """The ratio of the drawn outlines."""
    found: float
    """The ratio of the network's outlines."""


def evaluate(arguments: list[str]) -> int:
    """Print the table of the anatomy model on one split."""
    options = parse(NAME, arguments, __doc__)
    pipeline = load(options.models, options.device)
    cases = [case for case in read_cases(options.data) if case.split == options.split]
    if not cases:
        raise BadSettings(f"--data {options.data}: no outlines in split {options.split!r}")
    marks = [mark(pipeline, case) for case in cases]
    report = {name: summary(part) for name, part in groups(marks).items() if part}
    report["Cardiomegaly in reports (ChestX-ray14), PA"] = against_labels(
        pipeline, options.data, options.split
    )
    report |= elsewhere(pipeline, options.data)
    sha256 = pipeline.manifest.sha256
    measured = [film for film in marks if np.isfinite(film.ratio) and np.isfinite(film.found)]
    finish(
        Report(
            NAME, pipeline.version, sha256, options.split, report, _charts(measured), _misses(marks)
        ),
        options,
    )
    return 0


def mark(pipeline: AnatomyPipeline, case: Case) -> Marks:
    """Compare the outlines of one radiograph at the size of the drawn masks."""
    manifest = pipeline.manifest
    (shares,) = pipeline.infer([open_square(case.image, manifest.input.size)])
    lungs = open_mask(case.lungs)
    geometry = Geometry(lungs.shape, lungs.shape, None)
    channel = WHOLE if case.behind_heart else VISIBLE
    level = manifest.mask_threshold
    lungs_dice = metrics.dice(to_stored(shares[channel], geometry, level), lungs)
    heart_dice, ratio = float("nan"), None
    if case.heart is not None:
        heart = open_mask(case.heart)
        heart_dice = metrics.dice(to_stored(shares[HEART], geometry, level), heart)
        ratio = outline(lungs, heart).ratio
    found = grid_outline(shares, level).ratio
    return Marks(
        case,
        lungs_dice,
        heart_dice,
        float("nan") if ratio is None else ratio,
        float("nan") if found is None else found,
    )


def groups(marks: list[Marks]) -> dict[str, list[Marks]]:
    """Split the cases the way a model card shows them."""
    return {
        "all": marks,
        "lungs behind the heart included": [film for film in marks if film.case.behind_heart],
        "lungs up to the heart's border": [film for film in marks if not film.case.behind_heart],
        "PA": [film for film in marks if film.case.view == "PA"],
        "AP": [film for film in marks if film.case.view.startswith("AP")],
    }


def summary(marks: list[Marks]) -> dict[str, object]:
    """Give every number of one group of cases."""
    found: dict[str, object] = {"images": len(marks)}
    for name in ("lungs", "heart"):
        known = [film for film in marks if np.isfinite(getattr(film, name))]
        if known:
            values = np.asarray([getattr(film, name) for film in known])
            found[f"{name} Dice"] = mean_of(values, _patients(known))
            found[f"{name} worst"] = round(float(values.min()), 3)
    drawn = [film for film in marks if np.isfinite(film.ratio)]
    compared = [film for film in drawn if np.isfinite(film.found)]
    if compared:
        errors = np.asarray([film.found - film.ratio for film in compared])
        found["ratios"] = f"{len(compared)} of {len(drawn)} measured"
        found["ratio error"] = mean_of(np.abs(errors), _patients(compared))
        found["ratio bias"] = mean_of(errors, _patients(compared))
    return found


def _patients(marks: list[Marks]) -> list[str]:
    return [film.case.patient_id for film in marks]


def against_labels(pipeline: AnatomyPipeline, folder: Path, split: str) -> dict[str, object]:
    """Compare the ratio with what reports said, on PA views."""
    cases = [case for case in read_labelled(folder) if case.split == split and case.view == "PA"]
    manifest = pipeline.manifest
    ratios, truth, patients = [], [], []
    for case in cases:
        (shares,) = pipeline.infer([open_square(case.image, manifest.input.size)])
        ratio = grid_outline(shares, manifest.mask_threshold).ratio
        if ratio is not None:
            ratios.append(ratio)
            truth.append(case.cardiomegaly)
            patients.append(case.patient_id)
    scores, labels = np.asarray(ratios, np.float64), np.asarray(truth, np.bool_)
    shares_of = manifest.calibration.probabilities(scores)
    called = shares_of >= manifest.default_operating_point.threshold
    return {
        "images": f"{len(ratios)} of {len(cases)} measured",
        "positive": int(labels.sum()),
        "auc": rounded(
            metrics.bootstrap(lambda rows: metrics.auc(labels[rows], scores[rows]), patients)
        ),
        "calibration_error": round(metrics.calibration_error(labels, shares_of), 4),
        "sensitivity": round(metrics.sensitivity(labels, called), 4),
        "specificity": round(metrics.specificity(labels, called), 4),
    }


def elsewhere(pipeline: AnatomyPipeline, folder: Path) -> dict[str, dict[str, object]]:
    """Say on how many films of another hospital the ratio is found, and its mean, by view."""
    report: dict[str, dict[str, object]] = {}
    manifest = pipeline.manifest
    films = read_elsewhere(folder)
    for view in sorted({record.view for record in films}):
        images = [open_square(f.image, manifest.input.size) for f in films if f.view == view]
        shares = [pipeline.infer([image])[0] for image in images]
        ratios = [grid_outline(regions, manifest.mask_threshold).ratio for regions in shares]
        found = [ratio for ratio in ratios if ratio is not None]
        report[f"another hospital, {view}"] = {
            "images": len(ratios),
            "ratios": f"{len(found)} of {len(ratios)} measured",
            "ratio, mean": round(float(np.mean(found)), 3) if found else "none",
        }
    return report


def _charts(marks: list[Marks]) -> tuple[Chart, ...]:
    """Draw the measured ratio over the drawn one."""
    if not marks:
        return ()
    dots = Line(
        "radiographs", [(film.ratio, film.found) for film in marks], dots=True, joined=False
    )
    title = "Cardiothoracic ratio"
    return (Chart(title, "of the drawn outlines", "measured", (dots,), diagonal=True),)


def _misses(marks: list[Marks]) -> list[Miss]:
    """Give the radiographs whose lungs were outlined worst."""
    worst = sorted(marks, key=lambda film: film.lungs)[:MISSES]
    return [
        Miss(
            film.case.image.name,
            f"lungs Dice {film.lungs:.3f}, ratio {film.found:.2f} (drawn {film.ratio:.2f})",
            film.case.image,
            open_mask(film.case.lungs),
        )
        for film in worst
    ]
