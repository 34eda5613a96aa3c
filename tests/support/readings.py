"""Fixtures of the reading tasks."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dicom_node.domain.findings import Finding, Measurement
from dicom_node.domain.pipeline import Pipeline
from dicom_node.domain.study import InstanceRef, Orientation, Radiograph, Spacing
from pipelines.phantom.chest import Phantom
from pipelines.pneumothorax.pipeline import PneumothoraxPipeline, load
from pipelines.serving.manifest import load_manifest
from pipelines.serving.session import Session
from tests.support.paths import ROOT

MODELS = ROOT / "models"
REF = InstanceRef("1.2.840.10008.5.1.4.1.1.1.1", "1.2.3")


Answering = Callable[..., PneumothoraxPipeline]


class FixedAnswer:
    """An engine that gives the same map and logit, mirrored for a mirrored film."""

    def __init__(self, shares: NDArray[np.float32], logit: float) -> None:
        self.shares, self.logit = shares, logit

    def run(self, names: list[str], feeds: dict[str, NDArray[np.float32]]) -> list[object]:
        (batch,) = feeds.values()
        maps = np.stack([self.shares, self.shares[:, ::-1]])[: len(batch), None]
        answers = {"mask": maps, "presence": np.full((len(batch), 1), self.logit, np.float32)}
        return [answers[name] for name in names]


@pytest.fixture(scope="session")
def models_dir() -> Path:
    """The shipped models."""
    return MODELS


@pytest.fixture(scope="session")
def pipeline(models_dir: Path) -> PneumothoraxPipeline:
    """The shipped model, on the processor."""
    return load(models_dir, "cpu")


@pytest.fixture(scope="session")
def answering(models_dir: Path) -> Answering:
    """Make a pipeline whose network says what it is told to say."""

    def make(shares: NDArray[np.float32], logit: float = 20.0) -> PneumothoraxPipeline:
        manifest = load_manifest(models_dir / "pneumothorax")
        session = Session(FixedAnswer(shares, logit), "image", manifest.outputs, "fixed")
        return PneumothoraxPipeline(manifest, session)

    return make


def standard_film(pixels: NDArray[np.float32], spacing_mm: float = 0.5) -> Radiograph:
    """Wrap pixels as the node would: a calibrated PA film."""
    return Radiograph(pixels, REF, Spacing(spacing_mm, spacing_mm), Orientation("L", "F"), "PA")


@pytest.fixture(scope="session")
def film() -> Callable[[Phantom], Radiograph]:
    """Wrap a phantom."""
    return lambda phantom: standard_film(phantom.display(), phantom.spacing_mm)


@pytest.fixture(scope="session")
def noise() -> Radiograph:
    """A film of nothing, 300 x 400 pixels."""
    return standard_film(np.random.default_rng(0).random((300, 400), np.float32))


Film = Callable[[Phantom], Radiograph]


def only(pipeline: Pipeline, radiograph: Radiograph) -> Finding:
    (finding,) = pipeline.read(radiograph).findings
    return finding


def named(finding: Finding, name: str) -> Measurement:
    (found,) = [entry for entry in finding.measurements if entry.name == name]
    return found
