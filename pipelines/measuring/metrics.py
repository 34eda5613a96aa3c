"""How well a reader reads: AUC, Dice, calibration, their uncertainty."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its 95 % confidence interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def auc(truth: Flags, scores: Numbers) -> float:
    """Give the area under the ROC curve; ties count half."""
    positives, negatives = scores[truth], scores[~truth]
    if len(positives) == 0 or len(negatives) == 0:
        return float("nan")
    ordered = np.sort(negatives)
    below = np.searchsorted(ordered, positives, side="left")
    upto = np.searchsorted(ordered, positives, side="right")
    return float((below + upto).mean() / (2 * len(negatives)))


def average_precision(truth: Flags, scores: Numbers) -> float:
    """Give the area under the precision-recall curve; equal scores count together."""
    if not truth.any():
        return float("nan")
    recall, precision = precision_recall(truth, scores)
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def precision_recall(truth: Flags, scores: Numbers) -> tuple[Numbers, Numbers]:
    """Give recall and precision at every distinct threshold, the highest first."""
    hits, calls = _counts(truth, scores)
    return hits / max(int(truth.sum()), 1), hits / calls


def roc(truth: Flags, scores: Numbers) -> tuple[Numbers, Numbers]:
    """Give false and true positive rate at every distinct threshold, from (0, 0) on."""
    hits, calls = _counts(truth, scores)
    wrong = (calls - hits) / max(int((~truth).sum()), 1)
    return np.concatenate([[0.0], wrong]), np.concatenate([[0.0], hits / max(truth.sum(), 1)])


def _counts(truth: Flags, scores: Numbers) -> tuple[Numbers, Numbers]:
    """Count positives and all at or above each distinct score, the highest first."""
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)
    hits = np.cumsum(truth[order]).astype(np.float64)
    return hits[last], np.arange(1, len(order) + 1, dtype=np.float64)[last]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Whether two readers' AUCs differ."""

    difference: Estimate
    p_value: float


def delong(truth: Flags, ours: Numbers, theirs: Numbers) -> Comparison:
    """Test the difference of two AUCs on the same images (DeLong et al., Biometrics 1988).

    Uses placements by sorting (Sun and Xu, IEEE Signal Processing Letters 2014).
    Takes every image as independent; the bootstrap over patients does not.
    """
    placed = [_placements(truth, scores) for scores in (ours, theirs)]
    areas = [float(above.mean()) for above, _ in placed]
    positives = np.cov(np.stack([above for above, _ in placed]))
    negatives = np.cov(np.stack([below for _, below in placed]))
    covariance = positives / truth.sum() + negatives / (~truth).sum()
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    gap, error = areas[0] - areas[1], math.sqrt(max(variance, 0.0))
    p_value = math.erfc(abs(gap) / error / math.sqrt(2)) if error > 0 else float(gap == 0)
    return Comparison(Estimate(gap, gap - 1.96 * error, gap + 1.96 * error), p_value)


def _placements(truth: Flags, scores: Numbers) -> tuple[Numbers, Numbers]:
    """Give each positive's share of negatives below it, each negative's of positives above."""
    positives, negatives = scores[truth], scores[~truth]
    low, high = np.sort(negatives), np.sort(positives)
    below = np.searchsorted(low, positives, "left") + np.searchsorted(low, positives, "right")
    upto = np.searchsorted(high, negatives, "left") + np.searchsorted(high, negatives, "right")
    return below / (2 * len(negatives)), 1 - upto / (2 * len(positives))


def ppv_at(prevalence: float, sensitive: float, specific: float) -> float:
    """Give the positive predictive value at a stated prevalence (Bayes)."""
    right = prevalence * sensitive
    called = right + (1 - prevalence) * (1 - specific)
    return right / called if called > 0 else float("nan")


def iou(found: Flags, drawn: Flags) -> float:
    """Give the intersection over the union of two masks, 1 for two empty ones."""
    union = int((found | drawn).sum())
    return int((found & drawn).sum()) / union if union else 1.0


def reliability(
    truth: Flags, probabilities: Numbers, bins: int = 10
) -> list[tuple[float, float, int]]:
    """Give mean probability, share of positives and count of every equal-width bin in use."""
    cells = np.minimum((probabilities * bins).astype(int), bins - 1)
    return [
        (float(probabilities[rows].mean()), float(truth[rows].mean()), int(rows.sum()))
        for rows in (cells == cell for cell in range(bins))
        if rows.any()
    ]


def sensitivity(truth: Flags, called: Flags) -> float:
    """Give the share of positives that were called."""
    return float(called[truth].mean()) if truth.any() else float("nan")


def specificity(truth: Flags, called: Flags) -> float:
    """Give the share of negatives that were not called."""
    return float((~called[~truth]).mean()) if (~truth).any() else float("nan")


def dice(found: Flags, drawn: Flags) -> float:
    """Give the overlap of two masks, 1 for two empty ones."""
    total = int(found.sum()) + int(drawn.sum())
    return 2 * int((found & drawn).sum()) / total if total else 1.0


def brier(truth: Flags, probabilities: Numbers) -> float:
    """Give the mean squared error of the probabilities."""
    return float(((probabilities - truth) ** 2).mean())


def calibration_error(truth: Flags, probabilities: Numbers, bins: int = 10) -> float:
    """Give the expected calibration error over equal-width bins."""
    parts = reliability(truth, probabilities, bins)
    return float(sum(abs(mean - share) * count for mean, share, count in parts) / len(truth))


def bootstrap(
    measure: Callable[[NDArray[np.int64]], float],
    patients: Sequence[str],
    repeats: int = 1000,
    seed: int = 0,
) -> Estimate:
    """Estimate `measure(rows)` with a bootstrap over patients.

    Draws whole patients, as images of one person are not independent; draws
    that leave the measure undefined are skipped.
    """
    names, member = np.unique(np.asarray(patients), return_inverse=True)
    rows_of = [np.flatnonzero(member == number) for number in range(len(names))]
    random = np.random.default_rng(seed)
    values = []
    for _ in range(repeats):
        drawn = random.integers(0, len(names), len(names))
        value = measure(np.concatenate([rows_of[number] for number in drawn]))
        if np.isfinite(value):
            values.append(value)
    low, high = np.percentile(values, (2.5, 97.5)) if values else (float("nan"),) * 2
    return Estimate(measure(np.arange(len(patients))), float(low), float(high))


def fit_platt(truth: Flags, logits: Numbers) -> tuple[float, float]:
    """Fit slope and intercept of Platt's scaling by Newton's method.

    Uses Platt's smoothed targets, so that few cases cannot make it certain.
    """
    positives, negatives = int(truth.sum()), int((~truth).sum())
    aims = np.where(truth, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    design = np.stack([logits, np.ones_like(logits)], axis=1)
    weights = np.zeros(2)
    for _ in range(100):
        shares = 1 / (1 + np.exp(-design @ weights))
        gradient = design.T @ (shares - aims)
        curvature = (design * (shares * (1 - shares))[:, None]).T @ design
        change = np.linalg.solve(curvature + 1e-9 * np.eye(2), gradient)
        weights = weights - change
        if np.abs(change).max() < 1e-9:
            break
    return float(weights[0]), float(weights[1])


def fit_intercept(truth: Flags, exponents: Numbers) -> float:
    """Fit what is added to scaled logits so that probabilities have the truth's mean.

    That is the intercept of a logistic regression whose slope is kept: for films of
    one kind among those that `fit_platt` saw.
    """
    shift = 0.0
    for _ in range(100):
        shares = 1 / (1 + np.exp(-(exponents + shift)))
        curvature = float((shares * (1 - shares)).sum())
        change = float((shares - truth).sum()) / (curvature + 1e-9)
        shift -= min(max(change, -1.0), 1.0)
        if abs(change) < 1e-9:
            break
    return shift


def threshold_for_sensitivity(truth: Flags, probabilities: Numbers, aim: float) -> float:
    """Give the highest threshold that keeps a sensitivity, halfway to the next case."""
    return _halfway(
        probabilities, float(np.quantile(probabilities[truth], 1 - aim, method="lower"))
    )


def threshold_for_specificity(truth: Flags, probabilities: Numbers, aim: float) -> float:
    """Give the lowest threshold that keeps a specificity, halfway to the next case."""
    bound = float(np.quantile(probabilities[~truth], aim, method="higher"))
    above = probabilities[probabilities > bound]
    return (bound + float(above.min())) / 2 if len(above) else (bound + 1) / 2


def threshold_for_balance(truth: Flags, probabilities: Numbers) -> float:
    """Give the threshold with the highest Youden index."""
    marks = [
        (sensitivity(truth, probabilities >= t) + specificity(truth, probabilities >= t), -t)
        for t in np.unique(probabilities)
    ]
    return _halfway(probabilities, -max(marks)[1])


def _halfway(probabilities: Numbers, threshold: float) -> float:
    below = probabilities[probabilities < threshold]
    return (threshold + float(below.max())) / 2 if len(below) else threshold / 2
