"""Agreement against a table computed by hand; the history as a stack."""

import math

import pytest

from dicom_node.domain.operations.models import (
    Judgement,
    ModelRef,
    Pair,
    Switch,
    agreements,
    objection,
    pairs_of,
    previous,
)

A, B, C = (ModelRef(name, name * 64, f"versions/{name}" if name != "a" else "") for name in "abc")


def pair(number: int, live: float, shadow: float, finding: str = "Pneumothorax") -> Pair:
    """Two judgements at the threshold 0.5."""
    return Pair(
        f"1.2.{number}", finding, Judgement(live >= 0.5, live), Judgement(shadow >= 0.5, shadow)
    )


def test_agreement_is_that_of_the_table() -> None:
    # live \ shadow  present absent
    # present           4       1
    # absent            2       3      observed 7/10, by chance (5*6 + 5*4)/100 = 0.5
    calls = [(0.9, 0.7)] * 4 + [(0.6, 0.4)] + [(0.2, 0.8)] * 2 + [(0.1, 0.1)] * 3
    (found,) = agreements([pair(n, *call) for n, call in enumerate(calls)])
    assert (found.n, found.both_present, found.both_absent) == (10, 4, 3)
    assert (found.only_live, found.only_shadow) == (1, 2)
    assert found.kappa == pytest.approx((0.7 - 0.5) / (1 - 0.5))
    assert found.mean_difference == pytest.approx((4 * 0.2 + 0.2 + 2 * 0.6) / 10)
    assert [one.sop_instance_uid for one in found.differing] == ["1.2.4", "1.2.5", "1.2.6"]


def test_kappa_is_undefined_where_both_always_say_the_same() -> None:
    (found,) = agreements([pair(1, 0.1, 0.2), pair(2, 0.1, 0.2)])
    assert found.kappa is None
    (opposed,) = agreements([pair(1, 0.9, 0.1), pair(2, 0.1, 0.9)])
    assert opposed.kappa == -1.0


def test_every_finding_is_counted_for_itself() -> None:
    found = agreements([pair(1, 0.9, 0.9, "Mass"), pair(1, 0.1, 0.9, "Nodule")])
    assert [(one.finding, one.n, one.only_shadow) for one in found] == [
        ("Mass", 1, 0),
        ("Nodule", 1, 1),
    ]


def test_findings_are_matched_by_their_codes() -> None:
    def said(value: str, present: str, probability: float) -> dict[str, object]:
        code = {"value": value, "meaning": f"finding {value}"}
        return {"code": code, "present": present, "probability": probability}

    live = {"findings": [said("1", "present", 0.9), said("2", "undetermined", 0.4)]}
    shadow = {"findings": [said("2", "absent", 0.1), said("3", "present", 0.7)]}
    (matched,) = pairs_of("1.2", live, shadow)
    assert matched == Pair("1.2", "finding 2", Judgement(False, 0.4), Judgement(False, 0.1))
    assert pairs_of("1.2", live, {"findings": []}) == ()


def test_a_challenger_may_be_worse_by_the_margin_only() -> None:
    assert objection(0.90, 0.885, 0.02) is None
    assert objection(0.90, 0.95, 0.0) is None
    assert "worse than the current model's 0.9000" in str(objection(0.90, 0.87, 0.02))
    assert "with and without" in str(objection(math.nan, 0.9, 0.02))


def promoted(before: ModelRef, after: ModelRef) -> Switch:
    return Switch(1.0, "promote", before, after)


def test_the_way_back() -> None:
    history = [promoted(A, B), promoted(B, C)]
    assert previous(history, C) == B
    history.append(Switch(2.0, "rollback", C, B))
    assert previous(history, B) == A
    history.append(Switch(3.0, "rollback", B, A))
    assert previous(history, A) is None
    history.append(promoted(A, C))
    assert previous(history, C) == A
    assert previous([], A) is None


def test_a_switch_that_was_only_written_down_is_passed_over() -> None:
    assert previous([promoted(A, B), promoted(B, C)], B) == A
    assert previous([promoted(A, B), promoted(A, B)], B) == A
