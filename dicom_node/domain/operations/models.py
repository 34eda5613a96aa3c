"""A model's life: who serves, who challenges, who served before."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class ModelRef:
    """One model of a task, as results and history name it."""

    version: str
    sha256: str
    """Of the weights, hexadecimal."""
    folder: str = ""
    """Where the store keeps it; empty: the model that came with the software."""


@dataclass(frozen=True, slots=True)
class Switch:
    """One change of the model that serves, a line of the history."""

    at: float
    command: Literal["promote", "rollback"]
    before: ModelRef
    after: ModelRef
    figures: Mapping[str, float] = field(default_factory=dict)
    """What the decision rests on: AUC of both, the margin."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one model said of one finding."""

    present: bool
    probability: float


@dataclass(frozen=True, slots=True)
class Pair:
    """What two models said of one finding on the same image."""

    sop_instance_uid: str
    finding: str
    live: Judgement
    shadow: Judgement


@dataclass(frozen=True, slots=True)
class Agreement:
    """How two models agree on one finding, over the images that both read."""

    finding: str
    n: int
    both_present: int
    both_absent: int
    only_live: int
    only_shadow: int
    kappa: float | None
    """Cohen's; None where chance alone would agree always."""
    mean_difference: float
    """Mean absolute difference of the probabilities."""
    differing: tuple[Pair, ...]
    """Where one says present and the other does not."""


def previous(history: Sequence[Switch], current: ModelRef) -> ModelRef | None:
    """Give the model that served before `current`, if any is known.

    A switch that was written down but never made (a power loss) is passed over.
    """
    stack: list[ModelRef] = []
    for switch in history:
        if switch.command == "promote":
            stack.append(switch.before)
        elif stack:
            stack.pop()
    while stack and stack[-1].folder == current.folder:
        stack.pop()
    return stack[-1] if stack else None


def objection(current_auc: float, challenger_auc: float, margin: float) -> str | None:
    """Say why a challenger may not serve, by its AUC on the site's images."""
    if math.isnan(current_auc) or math.isnan(challenger_auc):
        return "the validation set needs images with and without the finding"
    if challenger_auc < current_auc - margin:
        return (
            f"AUC {challenger_auc:.4f} is worse than the current model's {current_auc:.4f} "
            f"by more than the margin {margin:g}"
        )
    return None


def pairs_of(
    sop_instance_uid: str, live: Mapping[str, Any], shadow: Mapping[str, Any]
) -> tuple[Pair, ...]:
    """Match two readings of an image (`findings_as_json`) finding by finding."""
    theirs = {finding["code"]["value"]: finding for finding in shadow["findings"]}
    return tuple(
        Pair(sop_instance_uid, finding["code"]["meaning"], _judged(finding), _judged(other))
        for finding in live["findings"]
        if (other := theirs.get(finding["code"]["value"])) is not None
    )


def _judged(finding: Mapping[str, Any]) -> Judgement:
    return Judgement(finding["present"] == "present", float(finding["probability"]))


def agreements(pairs: Iterable[Pair]) -> tuple[Agreement, ...]:
    """Count agreement for each finding."""
    by_finding = attrgetter("finding")
    return tuple(
        _agreement(finding, tuple(same))
        for finding, same in groupby(sorted(pairs, key=by_finding), by_finding)
    )


def _agreement(finding: str, pairs: tuple[Pair, ...]) -> Agreement:
    calls = [(pair.live.present, pair.shadow.present) for pair in pairs]
    gaps = [abs(pair.live.probability - pair.shadow.probability) for pair in pairs]
    both, neither = calls.count((True, True)), calls.count((False, False))
    only_live, only_shadow = calls.count((True, False)), calls.count((False, True))
    return Agreement(
        finding=finding,
        n=len(pairs),
        both_present=both,
        both_absent=neither,
        only_live=only_live,
        only_shadow=only_shadow,
        kappa=_kappa(both, neither, only_live, only_shadow),
        mean_difference=sum(gaps) / len(gaps),
        differing=tuple(pair for pair in pairs if pair.live.present != pair.shadow.present),
    )


def _kappa(both: int, neither: int, only_live: int, only_shadow: int) -> float | None:
    """Cohen's kappa: agreement beyond what the two rates alone would give."""
    n = both + neither + only_live + only_shadow
    live, shadow = both + only_live, both + only_shadow
    by_chance = live * shadow + (n - live) * (n - shadow)
    if by_chance == n * n:
        return None
    return (n * (both + neither) - by_chance) / (n * n - by_chance)
