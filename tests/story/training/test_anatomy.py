"""A few steps of training give an anatomy model that serves."""

import json
from pathlib import Path

import numpy as np
import pytest

from pipelines.anatomy.cases import read_cases, read_labelled
from pipelines.anatomy.pipeline import HEART, VISIBLE, WHOLE, load

torch = pytest.importorskip("torch", reason="training needs dicom-node[train]")

FEW = ["--size", "64", "--phantoms", "4", "--judge-every", "1", "--threads", "1"]


def test_phantoms_alone_train_a_model_that_loads_and_resumes(tmp_path: Path) -> None:
    from pipelines.anatomy.train import train

    assert train(["--out", str(tmp_path), "--steps", "2", *FEW]) == 0
    assert all(check.ok for check in load(tmp_path / "models", "cpu").verify())
    assert train(["--out", str(tmp_path), "--steps", "3", "--resume", *FEW]) == 0
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line["event"] == "judged"] == [1, 2, 3]


def test_what_was_not_outlined_costs_nothing() -> None:
    from pipelines.anatomy.train import losses

    masks = torch.zeros(2, 3, 32, 32)
    masks[:, 0, 8:24, 8:24] = 1
    right = torch.where(masks > 0, 20.0, -20.0)
    wrong_heart = right.clone()
    wrong_heart[:, HEART] = 20.0
    known = torch.tensor([[True, True, False]] * 2)
    for logits, least, most in ((right, 0.0, 0.01), (wrong_heart, 0.0, 0.01), (-right, 0.9, 99.0)):
        assert all(least <= float(part) <= most for part in losses(logits, masks, known).values())


@pytest.mark.data
def test_real_outlines_are_read_by_their_convention(shared: Path) -> None:
    from pipelines.anatomy.train import decode

    cases = read_cases(shared)
    assert len(cases) == 788
    patients = {
        split: {c.patient_id for c in cases if c.split == split} for split in ("train", "test")
    }
    assert not patients["train"] & patients["test"]
    behind = [case for case in cases if case.behind_heart and case.heart is None][:2]
    up_to = [case for case in cases if not case.behind_heart][:2]
    arrays = decode([*behind, *up_to], 1, 64, seed=0)
    assert arrays.known.tolist() == [[False, True, False]] * 2 + [[True, False, True]] * 2 + [
        [False, True, False]
    ]
    for row, regions in enumerate(((WHOLE,), (WHOLE,), (VISIBLE, HEART), (VISIBLE, HEART))):
        for region in regions:
            assert 0.02 < arrays.masks[row, region].mean() < 0.6
    assert np.ptp(arrays.images.reshape(5, -1), axis=1).min() > 200
    assert sum(case.cardiomegaly for case in read_labelled(shared)) > 100
