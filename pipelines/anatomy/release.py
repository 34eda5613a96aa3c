"""Make a model folder of a checkpoint: export, calibrate, write the contract."""

# ruff: noqa: T201 -- a command prints its result

import argparse
import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

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
    infer,
    read_phantom,
)
from pipelines.geometry import Geometry, open_square, to_stored
from pipelines.measuring import metrics
from pipelines.release.contract import WEIGHTS, Contract, publish
from pipelines.release.export import LEAST_SLOPE, export, load_average, parser
from pipelines.serving.manifest import ModelManifest, PhantomReference
from pipelines.serving.session import Session, SharedSession, open_session, sha256_of

CALIBRATION_SHARE = 0.25
"""Share of the training patients whose labels calibrate; the network saw none."""
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
    options = _parse(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    if options.checkpoint:
        network = AnatomyNet()
        load_average(network, [options.checkpoint])
        export(ServedNet(network), options.size, options.out / WEIGHTS, ("regions",))
    contract = _draft(options.size, options.out / WEIGHTS, options.version)
    manifest = publish(options.out, contract)
    session = open_session(manifest)
    if options.data:
        contract = replace(contract, mask_threshold=_level(session, manifest, options.data))
        manifest = publish(options.out, contract)
        contract = _calibrate(contract, session, manifest, options.data)
        manifest = publish(options.out, contract)
        print(f"calibration: {contract.validation}")
    pipeline = AnatomyPipeline(manifest, SharedSession(session))
    publish(options.out, replace(contract, references=_references(pipeline)))
    return 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    options = parser(__doc__, size=256)
    options.add_argument("--checkpoint", type=Path, help="none: the network that is there")
    return options.parse_args(arguments)


def _draft(size: int, weights: Path, version: str) -> Contract:
    """State what is known before anything was measured."""
    return Contract(
        name=NAME,
        version=version,
        sha256=sha256_of(weights),
        outputs=("regions",),
        size=size,
        labels={"cardiomegaly": codes.CODE},
        points=[OperatingPoint(codes.POINT, 0.5, 0.0, 0.0)],
        default_point=codes.POINT,
        # Uncalibrated: 0.5 at the ratio that counts as large.
        slope=20.0,
        intercept=-20.0 * codes.LARGE_RATIO,
        validation="none",
        sources=SOURCES,
        licences=LICENCES,
        references=[PhantomReference(seed, condition, 0.0, 0.0) for seed, condition in PHANTOMS],
    )


def _level(session: Session, manifest: ModelManifest, folder: Path) -> float:
    """Choose the level of the masks with the best mean Dice on validation."""
    marks: dict[float, list[float]] = {level: [] for level in LEVELS}
    for case in (case for case in read_cases(folder) if case.split == "val"):
        shares = infer(session, manifest, open_square(case.image, manifest.input.size))
        drawn = [(WHOLE if case.behind_heart else VISIBLE, case.lungs)]
        drawn += [(HEART, case.heart)] if case.heart is not None else []
        for channel, path in drawn:
            with Image.open(path) as picture:
                truth = np.asarray(np.asarray(picture.convert("L")) > 127, np.bool_)
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


def _calibrate(
    contract: Contract, session: Session, manifest: ModelManifest, folder: Path
) -> Contract:
    """Fit the probability of a reported large heart, given the ratio."""
    cases = [case for case in read_labelled(folder) if calibrates(case)]
    ratios, truth = ratios_of(session, manifest, cases)
    slope, intercept = metrics.fit_platt(truth, ratios)
    slope = max(slope, LEAST_SLOPE)
    threshold = 1 / (1 + np.exp(-(slope * codes.LARGE_RATIO + intercept)))
    called = ratios >= codes.LARGE_RATIO
    point = OperatingPoint(
        codes.POINT,
        float(threshold),
        metrics.sensitivity(truth, called),
        metrics.specificity(truth, called),
    )
    words = (
        f"{len(truth)} PA images, {int(truth.sum())} with Cardiomegaly in the report, "
        f"AUC of the ratio {metrics.auc(truth, ratios):.3f}"
    )
    return replace(contract, slope=slope, intercept=intercept, points=[point], validation=words)


def ratios_of(
    session: Session, manifest: ModelManifest, cases: list[Labelled]
) -> tuple[metrics.Numbers, metrics.Flags]:
    """Measure the ratios; images without an outline are left out."""
    ratios, truth = [], []
    for case in cases:
        shares = infer(session, manifest, open_square(case.image, manifest.input.size))
        ratio = grid_outline(shares, manifest.mask_threshold).ratio
        if ratio is not None:
            ratios.append(ratio)
            truth.append(case.cardiomegaly)
    return np.asarray(ratios, np.float64), np.asarray(truth, np.bool_)


def _references(pipeline: AnatomyPipeline) -> list[PhantomReference]:
    """Read the phantoms, to compare with later."""
    found = []
    for reference in pipeline.manifest.constancy.references:
        probability, mask_mm2 = read_phantom(pipeline, reference)
        found.append(replace(reference, probability=probability, mask_mm2=mask_mm2))
    return found


if __name__ == "__main__":
    import sys

    raise SystemExit(release(sys.argv[1:]))
