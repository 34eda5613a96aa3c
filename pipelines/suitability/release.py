"""Make a model folder of a checkpoint: export, choose limits, write the contract."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from dicom_node.domain.findings import OperatingPoint
from pipelines.geometry import network_input, open_square
from pipelines.measuring import metrics
from pipelines.measuring.binary import measured_point
from pipelines.release.contract import UNFITTED, grey_square, unmeasured, unread
from pipelines.release.export import LEAST_SLOPE, Hooks, export, filled, make_folder, parser
from pipelines.serving.manifest import WEIGHTS, Calibration, ModelManifest
from pipelines.serving.session import Session, open_session, sha256_of
from pipelines.suitability import codes
from pipelines.suitability.cases import read_frontals
from pipelines.suitability.corruption import corrupt
from pipelines.suitability.network import ServedNet, SuitabilityNet
from pipelines.suitability.pipeline import NAME, OUTPUTS, SuitabilityPipeline
from pipelines.suitability.synthetic import picture

ACCEPTED = 0.997
"""Share of the validation chests that each of the three limits lets pass."""
MOST = {codes.FRONTAL: 0.5, codes.UPRIGHT: 0.5, codes.NOT_INVERTED: 0.5}
"""No limit is set higher, however sure the network is on validation."""
MASK_TOLERANCE_MM2 = 400.0
"""Of no meaning: this network draws no mask."""
PHANTOMS = ((1, "none"), (2, "right"), (3, "left"), (4, "none"))
SOURCES = (
    "NIH ChestX-ray14, SIIM-ACR stage 2, Kermany and the lung mask sets: frontal chests",
    "first half of each kind of ood.csv: laterals, CT, hands, photographs, text, ultrasound",
    "drawn pictures and corrupted chests of pipelines/suitability (synthetic.py, corruption.py)",
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
    options = parser(__doc__, size=160).parse_args(arguments)
    weights = options.out / WEIGHTS
    if options.checkpoint:
        network = filled(SuitabilityNet(), options.checkpoint)
        export(ServedNet(network), options.size, weights, OUTPUTS)
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
        outputs=OUTPUTS,
        labels={"frontal": codes.CODE},
        operating_points=unmeasured(MOST),
        default=codes.FRONTAL,
        urgent=codes.FRONTAL,
        calibration=UNFITTED,
        validation="none",
        mask_threshold=0.5,
        constancy=unread(PHANTOMS, MASK_TOLERANCE_MM2),
        training_sources=SOURCES,
        licences=LICENCES,
    )


def _choose(folder: Path, draft: ModelManifest) -> ModelManifest:
    """Choose calibration and limits on the validation split and drawn pictures."""
    session, size = open_session(draft), draft.input.size
    cases = [case for case in read_frontals(folder) if case.split == "val"]
    chests = [open_square(case.image, size) for case in cases]
    draw = np.random.default_rng(11)
    drawn = [np.asarray(picture(size, draw) / 255, np.float32) for _ in range(200)]
    corrupted = corrupt(
        torch.from_numpy(np.stack(chests))[:, None], torch.Generator().manual_seed(3)
    )
    none: list[NDArray[np.float32]] = [*drawn, *map(_stretched, corrupted[:, 0].numpy())]
    turned = [np.rot90(image, 1 + row % 3) for row, image in enumerate(chests)]
    inverted = [1 - image for image in chests]

    good = answers(session, draft, chests)
    bad = answers(session, draft, none)
    logits = np.concatenate([good[:, 0], bad[:, 0]])
    slope, intercept = metrics.fit_platt(np.arange(len(logits)) < len(good), logits)
    calibration = Calibration(max(slope, LEAST_SLOPE), intercept)
    suited = {
        codes.FRONTAL: calibration.probabilities(good[:, 0]),
        codes.UPRIGHT: good[:, 1],
        codes.NOT_INVERTED: good[:, 2],
    }
    unsuited = {
        codes.FRONTAL: calibration.probabilities(bad[:, 0]),
        codes.UPRIGHT: answers(session, draft, turned)[:, 1],
        codes.NOT_INVERTED: answers(session, draft, inverted)[:, 2],
    }
    return replace(
        draft,
        calibration=calibration,
        operating_points={name: _point(name, suited[name], unsuited[name]) for name in MOST},
        validation=f"{len(good)} chests, {len(bad)} drawn and corrupted pictures",
    )


def _point(name: str, suited: metrics.Numbers, unsuited: metrics.Numbers) -> OperatingPoint:
    """Set a limit that lets the wanted share of the suited pass."""
    everything = np.concatenate([suited, unsuited])
    truth = np.arange(len(everything)) < len(suited)
    threshold = metrics.threshold_for_sensitivity(truth, everything, ACCEPTED)
    return measured_point(name, min(threshold, MOST[name]), truth, everything)


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


def _reread(manifest: ModelManifest) -> ModelManifest:
    return SuitabilityPipeline(manifest, open_session(manifest)).reread_all()


if __name__ == "__main__":
    import sys

    raise SystemExit(release(sys.argv[1:]))
