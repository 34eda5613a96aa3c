"""The yardsticks themselves, against known values."""

import numpy as np
import pytest

from pipelines.measuring import metrics

TRUTH = np.array([False, False, True, True])


def test_auc() -> None:
    assert metrics.auc(TRUTH, np.array([0.1, 0.4, 0.35, 0.8])) == 0.75
    assert metrics.auc(TRUTH, np.array([0.5, 0.5, 0.5, 0.5])) == 0.5
    assert np.isnan(metrics.auc(np.array([True]), np.array([0.3])))


def test_dice_and_rates() -> None:
    one, two = np.array([1, 1, 0, 0], bool), np.array([0, 1, 1, 0], bool)
    assert metrics.dice(one, two) == 0.5
    assert metrics.dice(one & False, two & False) == 1.0
    assert metrics.sensitivity(TRUTH, one) == 0.0
    assert metrics.specificity(TRUTH, two) == 0.5


def test_calibration_marks() -> None:
    certain = TRUTH.astype(float)
    assert metrics.brier(TRUTH, certain) == 0
    assert metrics.calibration_error(TRUTH, certain) == 0
    assert metrics.calibration_error(TRUTH, np.full(4, 0.9)) == pytest.approx(0.4)


def test_platt_finds_the_curve_that_made_the_labels() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, 20000)
    truth = random.random(20000) < 1 / (1 + np.exp(-(0.7 * logits - 1.2)))
    slope, intercept = metrics.fit_platt(truth, logits)
    assert slope == pytest.approx(0.7, abs=0.05)
    assert intercept == pytest.approx(-1.2, abs=0.07)


def test_thresholds_reach_what_they_promise() -> None:
    random = np.random.default_rng(1)
    truth = random.random(500) < 0.3
    shares = 1 / (1 + np.exp(-random.normal(truth * 1.5, 1.0)))
    sharp = metrics.threshold_for_sensitivity(truth, shares, 0.95)
    assert metrics.sensitivity(truth, shares >= sharp) >= 0.95
    strict = metrics.threshold_for_specificity(truth, shares, 0.95)
    assert metrics.specificity(truth, shares >= strict) >= 0.95
    assert sharp < metrics.threshold_for_balance(truth, shares) < strict


def test_the_bootstrap_draws_patients() -> None:
    values = np.repeat([0.0, 1.0], 50)
    many = metrics.bootstrap(lambda rows: float(values[rows].mean()), [str(n) for n in range(100)])
    two = metrics.bootstrap(lambda rows: float(values[rows].mean()), ["a"] * 50 + ["b"] * 50)
    assert many.value == two.value == 0.5
    assert (two.low, two.high) == (0.0, 1.0)
    assert many.high - many.low < 0.3


def test_a_shifted_intercept_gives_the_truths_mean() -> None:
    draw = np.random.default_rng(0)
    logits = draw.normal(0, 2, 4000)
    truth = draw.random(4000) < 1 / (1 + np.exp(-(logits - 1.5)))
    shift = metrics.fit_intercept(truth, logits)
    assert shift == pytest.approx(-1.5, abs=0.15)
    assert (1 / (1 + np.exp(-(logits + shift)))).mean() == pytest.approx(truth.mean(), abs=1e-6)
