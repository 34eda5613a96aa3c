"""The figures of a yes-or-no reader, with intervals over patients."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dicom_node.domain.findings import OperatingPoint
from pipelines.measuring import metrics
from pipelines.measuring.metrics import Estimate, Flags, Numbers

LEAST_CASES = 5
"""A group with fewer positives or negatives says nothing."""
Figures = dict[str, object]
Row = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Scored:
    """What is true of some images and what a reader said of them."""

    truth: Flags
    probabilities: Numbers
    patients: Sequence[str]

    def only(self, keep: Flags) -> "Scored":
        """Keep some of the images."""
        owners = [patient for patient, kept in zip(self.patients, keep, strict=True) if kept]
        return Scored(self.truth[keep], self.probabilities[keep], owners)

    def estimate(self, measure: Callable[[Flags, Numbers], float]) -> dict[str, float]:
        """Give `measure(truth, probabilities)` with its interval."""
        return rounded(
            metrics.bootstrap(
                lambda rows: measure(self.truth[rows], self.probabilities[rows]), self.patients
            )
        )


def figures(
    scored: Scored,
    points: Mapping[str, OperatingPoint],
    prevalence: float | None = None,
    least: int = LEAST_CASES,
) -> Figures:
    """Give every figure; a group with fewer than `least` of either kind gets its counts only."""
    truth, shares = scored.truth, scored.probabilities
    found: Figures = {"images": len(truth), "positive": int(truth.sum())}
    if min(int(truth.sum()), int((~truth).sum())) < least:
        return found | {"too few": f"fewer than {least} of either kind"}
    found["auc"] = scored.estimate(metrics.auc)
    found["pr_auc"] = scored.estimate(metrics.average_precision)
    found["brier"] = round(metrics.brier(truth, shares), 4)
    found["ece"] = scored.estimate(metrics.calibration_error)
    for name, point in points.items():
        found[name] = at_point(scored, point.threshold, prevalence)
    return found


def at_point(scored: Scored, threshold: float, prevalence: float | None = None) -> Figures:
    """Give a threshold's decisions: sensitivity and specificity with intervals, PPV, NPV, F1."""
    truth, called = scored.truth, scored.probabilities >= threshold
    hits = int((truth & called).sum())
    found: Figures = {
        "threshold": round(threshold, 5),
        "sensitivity": scored.estimate(lambda t, p: metrics.sensitivity(t, p >= threshold)),
        "specificity": scored.estimate(lambda t, p: metrics.specificity(t, p >= threshold)),
        "ppv": round(hits / max(int(called.sum()), 1), 4),
        "npv": round(int((~truth & ~called).sum()) / max(int((~called).sum()), 1), 4),
        "f1": round(2 * hits / max(int(truth.sum()) + int(called.sum()), 1), 4),
    }
    if prevalence is not None:
        rates = metrics.sensitivity(truth, called), metrics.specificity(truth, called)
        found[f"ppv at {prevalence:.1%}"] = round(metrics.ppv_at(prevalence, *rates), 4)
    return found


def measured_point(name: str, threshold: float, truth: Flags, shares: Numbers) -> OperatingPoint:
    """Give an operating point with the sensitivity and specificity that it has here."""
    called = shares >= threshold
    rates = metrics.sensitivity(truth, called), metrics.specificity(truth, called)
    return OperatingPoint(name, threshold, *rates)


def beside(scored: Scored, others: Numbers) -> Figures:
    """Compare with another reader's scores on the same images."""
    truth, ours = scored.truth, scored.probabilities
    if min(int(truth.sum()), int((~truth).sum())) < LEAST_CASES:
        return {"images": len(truth), "too few": "it scored too few of them"}

    def gap(rows: Row) -> float:
        return metrics.auc(truth[rows], ours[rows]) - metrics.auc(truth[rows], others[rows])

    test = metrics.delong(truth, ours, others)
    return {
        "images": len(truth),
        "positive": int(truth.sum()),
        "this model": scored.estimate(metrics.auc),
        "the other": Scored(truth, others, scored.patients).estimate(metrics.auc),
        "difference (bootstrap)": rounded(metrics.bootstrap(gap, scored.patients)),
        "difference (DeLong)": rounded(test.difference),
        "p (DeLong)": round(test.p_value, 4),
    }


class Case(Protocol):
    """What a radiograph's header says of the patient; empty where it says nothing."""

    @property
    def view(self) -> str:
        """PA or AP."""

    @property
    def age(self) -> str:
        """In years."""

    @property
    def sex(self) -> str:
        """F or M."""


def parts_of(cases: Sequence[Case]) -> dict[str, Flags]:
    """Part radiographs by view, sex and age."""
    ages = np.array([int(case.age) if case.age.isdigit() else -1 for case in cases])
    views = np.array([case.view for case in cases], np.str_)
    sexes = np.array([case.sex for case in cases], np.str_)
    return {
        "PA": views == "PA",
        "AP": views == "AP",
        "women": sexes == "F",
        "men": sexes == "M",
        "under 50 years": (ages >= 0) & (ages < 50),
        "50 years and over": ages >= 50,
    }


def mean_of(values: Sequence[float] | Numbers | Flags, patients: Sequence[str]) -> dict[str, float]:
    """Give the mean of a value an image, with its interval."""
    told = np.asarray(values, np.float64)
    return rounded(metrics.bootstrap(lambda rows: float(told[rows].mean()), patients))


def rounded(estimate: Estimate) -> dict[str, float]:
    """Give an estimate as it is printed and stored."""
    return {name: round(value, 4) for name, value in asdict(estimate).items()}
