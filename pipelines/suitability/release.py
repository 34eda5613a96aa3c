"""Make a model folder of a checkpoint: export, choose limits, write the contract."""

# ruff: noqa: T201 -- a command prints its result

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from dicom_node.domain.findings import OperatingPoint
from pipelines.geometry import network_input, open_square
from pipelines.measuring import metrics
from pipelines.release.contract import WEIGHTS, Contract, publish
from pipelines.release.export import LEAST_SLOPE, export, load_average, parser
from pipelines.serving.manifest import ModelManifest, PhantomReference
from pipelines.serving.session import Session, SharedSession, open_session, sha256_of
from pipelines.suitability import codes
from pipelines.suitability.cases import read_frontals
from pipelines.suitability.network import ServedNet, SuitabilityNet
from pipelines.suitability.pipeline import NAME, OUTPUTS, SuitabilityPipeline, read_phantom
from pipelines.suitability.synthetic import picture
from pipelines.suitability.wreck import spoil

ACCEPTED = 0.997
"""Share of the validation chests that each of the three limits lets pass."""
MOST = {codes.FRONTAL: 0.5, codes.UPRIGHT: 0.5, codes.NOT_INVERTED: 0.5}
"""No limit is set higher, however sure the network is on validation."""
PHANTOMS = ((1, "none"), (2, "right"), (3, "left"), (4, "none"))
SOURCES = (
    "NIH ChestX-ray14, SIIM-ACR stage 2, Kermany and the lung mask sets: frontal chests",
    "first half of each kind of ood.csv: laterals, CT, hands, photographs, text, ultrasound",
    "drawn pictures and spoilt chests of pipelines/suitability (synthetic.py, wreck.py)",
    "digital phantoms of pipelines/phantom",
    "ImageNet MobileNetV2 weights derived from Google Coral, as the trunk's start",
)
LICENCES = (
    "NIH ChestX-ray14: NIH Clinical Center, free use with attribution (Wang et al., CVPR 2017)",
    "SIIM-ACR: SIIM/ACR/STR under the Kaggle competition rules (research)",
    "Kermany: CC BY 4.0; COVID set: per image, several CC BY-NC-SA; JSRT: research use",
    "trunk weights: Apache-2.0",
)


def release(arguments: list[str]) -> int:
    """Write `model.onnx` and `model.toml` from a checkpoint."""
    options = _parse(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    if options.checkpoint:
        network = SuitabilityNet()
        load_average(network, [options.checkpoint])
        export(ServedNet(network), options.size, options.out / WEIGHTS, OUTPUTS)
    contract = _draft(options.size, options.out / WEIGHTS, options.version)
    manifest = publish(options.out, contract)
    session = open_session(manifest)
    if options.data:
        contract = _choose(contract, session, manifest, options.data)
        manifest = publish(options.out, contract)
        print(f"validation: {contract.validation}")
    pipeline = SuitabilityPipeline(manifest, SharedSession(session))
    references = [
        replace(reference, probability=read_phantom(pipeline, reference))
        for reference in manifest.constancy.references
    ]
    publish(options.out, replace(contract, references=references))
    return 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    options = parser(__doc__, size=160)
    options.add_argument("--checkpoint", type=Path, help="none: the network that is there")
    return options.parse_args(arguments)


def _draft(size: int, weights: Path, version: str) -> Contract:
    """State what is known before anything was measured."""
    return Contract(
        name=NAME,
        version=version,
        sha256=sha256_of(weights),
        outputs=OUTPUTS,
        size=size,
        labels={"frontal": codes.CODE},
        points=[OperatingPoint(name, 0.5, 0.0, 0.0) for name in MOST],
        default_point=codes.FRONTAL,
        slope=1.0,
        intercept=0.0,
        validation="none",
        sources=SOURCES,
        licences=LICENCES,
        references=[PhantomReference(seed, condition, 0.0, 0.0) for seed, condition in PHANTOMS],
    )


def _choose(
    contract: Contract, session: Session, manifest: ModelManifest, folder: Path
) -> Contract:
    """Choose calibration and limits on the validation split and drawn pictures."""
    size = manifest.input.size
    cases = [case for case in read_frontals(folder) if case.split == "val"]
    chests = [open_square(case.image, size) for case in cases]
    draw = np.random.default_rng(11)
    drawn = [np.asarray(picture(size, draw) / 255, np.float32) for _ in range(200)]
    spoilt = spoil(torch.from_numpy(np.stack(chests))[:, None], torch.Generator().manual_seed(3))
    none: list[NDArray[np.float32]] = [
        *drawn,
        *(_stretched(image) for image in spoilt[:, 0].numpy()),
    ]
    turned = [np.rot90(image, 1 + row % 3) for row, image in enumerate(chests)]
    inverted = [1 - image for image in chests]

    good = answers(session, manifest, chests)
    bad = answers(session, manifest, none)
    logits = np.concatenate([good[:, 0], bad[:, 0]])
    slope, intercept = metrics.fit_platt(np.arange(len(logits)) < len(good), logits)
    slope = max(slope, LEAST_SLOPE)
    suited = {
        codes.FRONTAL: _sigmoid(slope * good[:, 0] + intercept),
        codes.UPRIGHT: good[:, 1],
        codes.NOT_INVERTED: good[:, 2],
    }
    unsuited = {
        codes.FRONTAL: _sigmoid(slope * bad[:, 0] + intercept),
        codes.UPRIGHT: answers(session, manifest, turned)[:, 1],
        codes.NOT_INVERTED: answers(session, manifest, inverted)[:, 2],
    }
    points = [_point(name, suited[name], unsuited[name]) for name in MOST]
    return replace(
        contract,
        slope=slope,
        intercept=intercept,
        points=points,
        validation=f"{len(good)} chests, {len(bad)} drawn and spoilt pictures",
    )


def _point(name: str, suited: metrics.Numbers, unsuited: metrics.Numbers) -> OperatingPoint:
    """Set a limit that lets the wanted share of the suited pass."""
    everything = np.concatenate([suited, unsuited])
    truth = np.arange(len(everything)) < len(suited)
    threshold = metrics.threshold_for_sensitivity(truth, everything, ACCEPTED)
    threshold = min(threshold, MOST[name])
    called = everything >= threshold
    return OperatingPoint(
        name,
        threshold,
        metrics.sensitivity(truth, called),
        metrics.specificity(truth, called),
    )


def answers(
    session: Session, manifest: ModelManifest, images: Sequence[NDArray[np.float32]]
) -> NDArray[np.float64]:
    """Give (N, 3): frontal logit, probability of upright, of not inverted."""
    rows = []
    for image in images:
        told = session.run(network_input(image, manifest.input.mean, manifest.input.std))
        rows.append((told["frontal"][0, 0], told["turn"][0, 0], 1 - told["inverted"][0, 0]))
    return np.asarray(rows, np.float64)


def _stretched(image: NDArray[np.float32]) -> NDArray[np.float32]:
    low, high = np.percentile(image, (0.5, 99.5))
    return np.asarray(np.clip((image - low) / max(float(high - low), 1e-3), 0, 1), np.float32)


def _sigmoid(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-values)), np.float64)


if __name__ == "__main__":
    import sys

    raise SystemExit(release(sys.argv[1:]))
