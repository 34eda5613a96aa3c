import re
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom_node.domain.errors import GiveUp, NotAnalysable, TryAgain
from dicom_node.domain.work import (
    DELIVERY_RETRY,
    JOB_RETRY,
    RetryRule,
    after_failure,
    derive_uid,
)

RULE = RetryRule(first_s=5, longest_s=60, attempts=10)


@pytest.mark.parametrize(
    ("attempt", "pause_s"), [(1, 5), (2, 10), (3, 20), (4, 40), (5, 60), (9, 60)]
)
def test_pauses_double_up_to_the_longest(attempt: int, pause_s: float) -> None:
    assert after_failure(TryAgain("away"), attempt, 1000.0, RULE).due_at == 1000.0 + pause_s


@pytest.mark.parametrize("attempt", [10, 11, 10_000])
def test_the_last_attempt_is_the_last(attempt: int) -> None:
    failure = after_failure(TryAgain("away"), attempt, 1000.0, RULE)
    assert (failure.due_at, failure.words) == (None, "TryAgain: away")


@pytest.mark.parametrize("error", [TryAgain("x"), OSError("x"), MemoryError(), TimeoutError("x")])
def test_a_passing_fault_is_repeated(error: Exception) -> None:
    assert after_failure(error, 1, 0.0, RULE).due_at == 5.0


def test_too_little_memory_is_given_minutes_to_pass() -> None:
    now = 0.0
    for attempt in range(1, 4 * JOB_RETRY.attempts):
        due_at = after_failure(MemoryError(), attempt, now, JOB_RETRY).due_at
        assert due_at is not None
        now = due_at
    assert 300 < now < 600
    assert after_failure(MemoryError(), 4 * JOB_RETRY.attempts, now, JOB_RETRY).due_at is None


@pytest.mark.parametrize("error", [GiveUp("x"), NotAnalysable("x"), ValueError("x"), KeyError("x")])
def test_anything_else_is_permanent(error: Exception) -> None:
    failure = after_failure(error, 1, 0.0, RULE)
    assert failure.due_at is None
    assert failure.words.startswith(type(error).__name__)


@given(attempt=st.integers(1, 10**6), now=st.floats(0, 4e9))
def test_a_repetition_is_never_early_and_never_endless(attempt: int, now: float) -> None:
    for rule in (JOB_RETRY, DELIVERY_RETRY):
        due_at = after_failure(TryAgain(""), attempt, now, rule).due_at
        assert (due_at is None) == (attempt >= rule.attempts)
        if due_at is not None:
            assert now + rule.first_s <= due_at <= now + rule.longest_s


def test_deliveries_outlast_a_weekend_without_pacs() -> None:
    due_at, days = 0.0, 0.0
    for attempt in range(1, DELIVERY_RETRY.attempts + 1):
        after = after_failure(TryAgain(""), attempt, due_at, DELIVERY_RETRY).due_at
        if after is None:
            break
        due_at, days = after, after / 86_400
    assert 2.9 < days < 3.5


parts = st.lists(st.text(max_size=70), min_size=1, max_size=5)


@given(parts=parts)
def test_a_derived_uid_is_a_valid_uid(parts: list[str]) -> None:
    uid = derive_uid(*parts)
    assert len(uid) <= 64  # PS3.5 9.1
    assert re.fullmatch(r"2\.25\.[1-9][0-9]*", uid)  # PS3.5 B.2: no leading zero
    derived = uuid.UUID(int=int(uid.removeprefix("2.25.")))
    assert derived.variant == uuid.RFC_4122
    assert derived.version == 8


@given(one=parts, other=parts)
def test_derived_uids_differ_exactly_when_their_parts_do(one: list[str], other: list[str]) -> None:
    same = "\x1f".join(one) == "\x1f".join(other)
    assert (derive_uid(*one) == derive_uid(*other)) == same


def test_parts_do_not_run_together() -> None:
    assert len({derive_uid("1.2", "3"), derive_uid("1.", "23"), derive_uid("1.23")}) == 3


def test_a_derived_uid_never_changes() -> None:
    # sha256sum of 1.2.3, 0x1F, sr begins a9437b59bb032831bff8...; only the version digit differs
    assert derive_uid("1.2.3", "sr") == f"2.25.{0xA9437B59BB038831BFF8FB7771037260}"
