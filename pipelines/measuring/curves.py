"""The curves of yes-or-no readers: ROC, precision and recall, reliability."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipelines.measuring import metrics
from pipelines.measuring.binary import Told


@dataclass(frozen=True, slots=True)
class Line:
    """One curve; `dots` marks its points, without `joined` there is no line."""

    name: str
    points: Sequence[tuple[float, float]]
    dots: bool = False
    joined: bool = True


@dataclass(frozen=True, slots=True)
class Chart:
    """Curves over 0 to `most_x` and 0 to 1."""

    title: str
    x: str
    y: str
    lines: Sequence[Line]
    most_x: float = 1.0
    diagonal: bool = False


def roc_chart(named: Mapping[str, Told]) -> Chart:
    """Draw a ROC curve each."""
    lines = []
    for name, told in _speaking(named).items():
        wrong, right = metrics.roc(told.truth, told.probabilities)
        area = metrics.auc(told.truth, told.probabilities)
        points = list(zip(wrong.tolist(), right.tolist(), strict=True))
        lines.append(Line(f"{name} AUC {area:.3f}".strip(), points))
    return Chart("ROC", "1 - specificity", "sensitivity", lines, diagonal=True)


def precision_chart(named: Mapping[str, Told]) -> Chart:
    """Draw a precision-recall curve each."""
    lines = []
    for name, told in _speaking(named).items():
        recall, precision = metrics.precision_recall(told.truth, told.probabilities)
        area = metrics.average_precision(told.truth, told.probabilities)
        points = list(zip(recall.tolist(), precision.tolist(), strict=True))
        lines.append(Line(f"{name} AP {area:.3f}".strip(), points))
    return Chart("Precision and recall", "recall", "precision", lines)


def calibration_chart(named: Mapping[str, Told]) -> Chart:
    """Draw the share of positives over the mean probability of each bin."""
    lines = []
    for name, told in _speaking(named).items():
        error = metrics.calibration_error(told.truth, told.probabilities)
        bins = metrics.reliability(told.truth, told.probabilities)
        points = [(mean, share) for mean, share, _ in bins]
        lines.append(Line(f"{name} ECE {error:.3f}".strip(), points, dots=True))
    return Chart("Calibration", "probability", "share of positives", lines, diagonal=True)


def _speaking(named: Mapping[str, Told]) -> dict[str, Told]:
    """Leave out groups with one kind of truth only: they have no curve."""
    return {name: told for name, told in named.items() if 0 < told.truth.sum() < len(told.truth)}
