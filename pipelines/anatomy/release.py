"""Make a model folder of a checkpoint: export, calibrate, write the contract."""

import argparse
import hashlib
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from dicom_node.domain.findings import OperatingPoint
from pipelines.anatomy import codes
from pipelines.anatomy.cases import Labelled, read_cases, read_labelled
from pipelines.anatomy.network import AnatomyNet, ServedNet
from pipelines.anatomy.pipeline import (
    HEART,
    NAME,
    VISIBLE,
    WHOLE,
    AnatomyPipeline,
    grid_outline,
)
from pipelines.datasets.picture import open_mask
from pipelines.geometry import Geometry, open_square, to_stored
from pipelines.measuring import metrics
from pipelines.release.contract import grey_square, unmeasured, unread
from pipelines.release.export import LEAST_SLOPE, Hooks, export, filled, make_folder, parser
from pipelines.serving.manifest import WEIGHTS, Calibration, ModelManifest
from pipelines.serving.session import open_session, sha256_of

CALIBRATION_SHARE = 0.25
"""Share of the training patients whose labels calibrate; the network saw none."""
MASK_TOLERANCE_MM2 = 400.0
LEVELS = (0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6)
PHANTOMS = ((1, "none"), (2, "right"), (3, "none"), (4, "left"))
SOURCES = (
    "COVID-19 chest radiographs with lung masks (ieee8023/covid-chestxray-dataset)",
    "JSRT radiographs with SCR lung and heart masks",
    "wingspan radiographs with lung and heart masks",
    "digital phantoms of pipelines/phantom",
    "NIH ChestX-ray14, Cardiomegaly labels: calibration of the ratio only",
    "ImageNet MobileNetV2 weights derived from Google Coral, as the trunk's start",
)
LICENCES = (
    "COVID set: per image CC BY 3.0/4.0 and others, masks CC BY-SA 4.0",
    "JSRT and SCR: research use",
    "wingspan: MIT",
    "NIH ChestX-ray14: NIH Clinical Center, free use with attribution (Wang et al., CVPR 2017)",
    "trunk weights: Apache-2.0",
)


def release(arguments: list[str]) -> int:
    """Write `model.onnx` and `model.toml` from a checkpoint."""
    options = parser(__doc__, size=256).parse_args(arguments)
    weights = options.out / WEIGHTS
    if options.checkpoint:
        network = filled(AnatomyNet(), options.checkpoint)
        export(ServedNet(network), options.size, weights, ("regions",))
    choose = partial(_choose, options.data) if options.data else None
    make_folder(options.out, _draft(options, weights), Hooks(_reread, choose))
    return 0


def _draft(options: argparse.Namespace, weights: Path) -> ModelManifest:
    """State what is known before anything was measured."""
    return ModelManifest(
        name=NAME,
        version=options.version,
        weights=weights,
        sha256=sha256_of(weights),
        input=grey_square(options.size),
        outputs=("regions",),
        labels={"cardiomegaly": codes.CODE},
        operating_points=unmeasured([codes.POINT]),
        default=codes.POINT,
        urgent=codes.POINT,
        # Uncalibrated: 0.5 at the ratio that counts as large.
        calibration=Calibration(20.0, -20.0 * codes.LARGE_RATIO),
        validation="none",
        mask_threshold=0.5,
        constancy=unread(PHANTOMS, MASK_TOLERANCE_MM2),
        training_sources=SOURCES,
        licences=LICENCES,
    )


def _choose(folder: Path, draft: ModelManifest) -> ModelManifest:
    """Choose the masks' level, then fit the probability of a reported large heart."""
    pipeline = AnatomyPipeline(draft, open_session(draft))
    levelled = replace(draft, mask_threshold=_level(pipeline, folder))
    cases = [case for case in read_labelled(folder) if calibrates(case)]
    ratios, truth = ratios_of(replace(pipeline, manifest=levelled), cases)
    slope, intercept = metrics.fit_platt(truth, ratios)
    calibration = Calibration(max(slope, LEAST_SLOPE), intercept)
    called = ratios >= codes.LARGE_RATIO
    rates = metrics.sensitivity(truth, called), metrics.specificity(truth, called)
    threshold = calibration.probability(codes.LARGE_RATIO)
    return replace(
        levelled,
        calibration=calibration,
        operating_points={codes.POINT: OperatingPoint(codes.POINT, threshold, *rates)},
        validation=(
            f"{len(truth)} PA images, {int(truth.sum())} with Cardiomegaly in the report, "
            f"AUC of the ratio {metrics.auc(truth, ratios):.3f}"
        ),
    )


def _level(pipeline: AnatomyPipeline, folder: Path) -> float:
    """Choose the level of the masks with the best mean Dice on validation."""
    marks: dict[float, list[float]] = {level: [] for level in LEVELS}
    for case in (case for case in read_cases(folder) if case.split == "val"):
        (shares,) = pipeline.infer([open_square(case.image, pipeline.manifest.input.size)])
        drawn = [(WHOLE if case.behind_heart else VISIBLE, case.lungs)]
        drawn += [(HEART, case.heart)] if case.heart is not None else []
        for channel, path in drawn:
            truth = open_mask(path)
            geometry = Geometry(truth.shape, truth.shape, None)
            for level, dices in marks.items():
                found = to_stored(shares[channel], geometry, level)
                dices.append(metrics.dice(found, truth))
    return max(marks, key=lambda level: float(np.mean(marks[level])))


def calibrates(case: Labelled) -> bool:
    """Say whether a label calibrates: PA view, validation or some of training."""
    if case.view != "PA" or case.split == "test":
        return False
    digest = hashlib.sha256(case.patient_id.encode()).digest()[0]
    return case.split == "val" or digest < 256 * CALIBRATION_SHARE


def ratios_of(
    pipeline: AnatomyPipeline, cases: list[Labelled]
) -> tuple[metrics.Numbers, metrics.Flags]:
    """Measure the ratios; images without an outline are left out."""
    ratios, truth = [], []
    for case in cases:
        (shares,) = pipeline.infer([open_square(case.image, pipeline.manifest.input.size)])
        ratio = grid_outline(shares, pipeline.manifest.mask_threshold).ratio
        if ratio is not None:
            ratios.append(ratio)
            truth.append(case.cardiomegaly)
    return np.asarray(ratios, np.float64), np.asarray(truth, np.bool_)


def _reread(manifest: ModelManifest) -> ModelManifest:
    return AnatomyPipeline(manifest, open_session(manifest)).reread_all()


if __name__ == "__main__":
    import sys

    raise SystemExit(release(sys.argv[1:]))
