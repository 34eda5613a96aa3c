"""Several models of one task: mean, disagreement, identity."""

from dataclasses import replace

import numpy as np
import pytest

from pipelines.serving.ensemble import SPREAD, Columns, Ensemble
from pipelines.serving.manifest import Calibration
from pipelines.serving.session import Session


class Fixed:
    """An engine that always gives the same logits and map."""

    def __init__(self, logits: list[float], level: float) -> None:
        self.answers = {
            "scores": np.array([logits], np.float32),
            "map": np.full((1, 2, 2), level, np.float32),
        }

    def run(self, names: list[str], _: object) -> list[object]:
        """Answer as told."""
        return [self.answers[name].copy() for name in names]


def session(logits: list[float], level: float) -> Session:
    return Session(Fixed(logits, level), "image", ("scores", "map"), "fixed")


def logit(probability: float) -> float:
    return float(np.log(probability / (1 - probability)))


def test_the_mean_of_the_calibrated_probabilities_comes_as_the_leads_logit() -> None:
    own, other = Calibration(2.0, 1.0), Calibration(0.5, -1.0)
    lead = session([9.0, (logit(0.9) - 1.0) / 2.0], 0.2)
    second = session([5.0, (logit(0.3) + 1.0) / 0.5], 0.6)
    columns = Columns("scores", (1,), (own,))
    both = Ensemble(lead, columns, ((second, replace(columns, calibrations=(other,))),))
    told = both.run(np.zeros((1, 1, 4, 4), np.float32))
    assert own.probability(float(told["scores"][0, 1])) == pytest.approx(0.6, abs=1e-5)
    assert told[SPREAD][0, 1] == pytest.approx(0.3, abs=1e-5)
    assert (told["scores"][0, 0], told[SPREAD][0, 0]) == (7.0, 0.0)  # not calibrated: a plain mean
    assert told["map"][0, 0, 0] == pytest.approx(0.4)
    assert both.device == "fixed, 2 models"
