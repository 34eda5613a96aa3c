"""The shipped outlines: phantoms, and the test split of real radiographs."""

from pathlib import Path

import numpy as np
import pytest

from pipelines.anatomy.cases import read_cases
from pipelines.anatomy.evaluation import mark
from pipelines.anatomy.pipeline import AnatomyPipeline, load
from pipelines.measuring.metrics import dice
from pipelines.phantom.chest import chest_phantom
from tests.support.readings import standard_film


@pytest.fixture(scope="module")
def pipeline(models_dir: Path) -> AnatomyPipeline:
    """The shipped model, on the processor."""
    return load(models_dir, "cpu")


def test_the_shipped_model_is_intact(pipeline: AnatomyPipeline) -> None:
    assert [check.words for check in pipeline.verify() if not check.ok] == []


def test_a_phantom_is_outlined(pipeline: AnatomyPipeline) -> None:
    phantom = chest_phantom(41, rows=512, columns=448)
    anatomy = pipeline.read_anatomy(standard_film(phantom.display(), phantom.spacing_mm))
    assert dice(anatomy.right_lung | anatomy.left_lung, phantom.lungs_mask) > 0.85
    columns = np.arange(448)
    middles = [
        (mask.sum(axis=0) * columns).sum() / mask.sum()
        for mask in (anatomy.right_lung, anatomy.left_lung)
    ]
    assert middles[0] < 224 < middles[1]


@pytest.mark.data
def test_real_lungs_and_hearts_are_outlined(pipeline: AnatomyPipeline, shared: Path) -> None:
    cases = [case for case in read_cases(shared) if case.split == "test" and case.heart is not None]
    marks = [mark(pipeline, case) for case in cases[::4]]
    assert np.mean([one.lungs for one in marks]) > 0.93
    assert np.mean([one.heart for one in marks]) > 0.88
    assert np.mean([abs(one.found - one.ratio) for one in marks]) < 0.03
