"""As many lines as a person reads, and the number of the others."""

from structlog.testing import capture_logs

from dicom_node.process.throttle import (
    MOST_LINES,
    MOST_SUBJECTS,
    PERIOD_S,
    Throttle,
    ThrottledLog,
)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_lines_beyond_the_most_are_counted_and_told_with_the_next() -> None:
    clock = Clock()
    throttle = Throttle(clock)
    assert [throttle.admit("a") for _ in range(MOST_LINES + 3)] == [0] * MOST_LINES + [None] * 3
    assert throttle.admit("b") == 0
    clock.now = PERIOD_S
    assert [throttle.admit("a"), throttle.admit("a")] == [3, 0]


def test_ever_new_subjects_share_what_one_may_say() -> None:
    clock = Clock()
    throttle = Throttle(clock)
    told = [throttle.admit(f"host {number}") for number in range(10 * MOST_SUBJECTS)]
    assert told.count(0) == MOST_SUBJECTS + MOST_LINES
    clock.now = PERIOD_S
    assert throttle.admit("another") == 0
    assert len(throttle._periods) < MOST_SUBJECTS


def test_a_line_says_how_many_were_kept_back() -> None:
    clock = Clock()
    log = ThrottledLog(Throttle(clock))
    with capture_logs() as lines:
        for _ in range(MOST_LINES + 5):
            log.warning("refused", host="10.0.0.1", reason="1/1/3")
        clock.now = PERIOD_S
        log.warning("refused", host="10.0.0.1", reason="1/1/3")
    assert len(lines) == MOST_LINES + 1
    assert "kept_back" not in lines[0] and lines[-1]["kept_back"] == 5
