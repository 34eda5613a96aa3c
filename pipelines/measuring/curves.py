"""The curves of yes-or-no readers: ROC, precision and recall, reliability."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipelines.measuring import metrics
from pipelines.measuring.binary import Scored


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


def roc_chart(named: Mapping[str, Scored]) -> Chart:
    """Draw a ROC curve each."""
    lines = []
    for name, scored in _speaking(named).items():
        wrong, right = metrics.roc(scored.truth, scored.probabilities)
        area = metrics.auc(scored.truth, scored.probabilities)
        points = list(zip(wrong.tolist(), right.tolist(), strict=True))
        lines.append(Line(f"{name} AUC {area:.3f}".strip(), points))
    return Chart("ROC", "1 - specificity", "sensitivity", lines, diagonal=True)


def precision_chart(named: Mapping[str, Scored]) -> Chart:
    """Draw a precision-recall curve each."""
    lines = []
    for name, scored in _speaking(named).items():
        recall, precision = metrics.precision_recall(scored.truth, scored.probabilities)
        area = metrics.average_precision(scored.truth, scored.probabilities)
        points = list(zip(recall.tolist(), precision.tolist(), strict=True))
        lines.append(Line(f"{name} AP {area:.3f}".strip(), points))
    return Chart("Precision and recall", "recall", "precision", lines)


def calibration_chart(named: Mapping[str, Scored]) -> Chart:
    """Draw the share of positives over the mean probability of each bin."""
    lines = []
    for name, scored in _speaking(named).items():
        error = metrics.calibration_error(scored.truth, scored.probabilities)
        bins = metrics.reliability(scored.truth, scored.probabilities)
        points = [(mean, share) for mean, share, _ in bins]
        lines.append(Line(f"{name} ECE {error:.3f}".strip(), points, dots=True))
    return Chart("Calibration", "probability", "share of positives", lines, diagonal=True)


def _speaking(named: Mapping[str, Scored]) -> dict[str, Scored]:
    """Leave out groups with one kind of truth only: they have no curve."""
    return {
        name: scored for name, scored in named.items() if 0 < scored.truth.sum() < len(scored.truth)
    }
