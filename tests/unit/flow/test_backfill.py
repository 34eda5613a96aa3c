"""Back-filling's rules: which days, how fast, what is skipped, when to stop."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

import pytest

from dicom_node.domain.admission import DX_FOR_PROCESSING, Route
from dicom_node.domain.errors import BadSettings, GiveUp, NodeError, TryAgain
from dicom_node.domain.exchange.retrieval import FoundImage, FoundSeries, Inquiry, Span
from dicom_node.flow.backfill import (
    MOST_LOST,
    PAUSES_S,
    BackfillContext,
    BackfilledStudy,
    BackfillQuery,
    Stopped,
    Throttle,
    fetch_missing_images,
    find_missing_images,
    inquiries,
    modalities_wanted,
    wanted,
)

CR = "1.2.840.10008.5.1.4.1.1.1"
DAYS = Span(date(2026, 11, 1), date(2026, 11, 3))
CHEST = FoundSeries("1", "1.1", "CR", "CHEST")
IMAGE = FoundImage("1", "1.1", "1.1.1", CR)


@dataclass
class Pacs:
    """Holds images by series; fails as scripted, one entry a fetch."""

    holds: dict[FoundSeries, tuple[FoundImage, ...]]
    faults: list[NodeError | None] = field(default_factory=list)
    ae_title: str = "PACS"
    fetched: list[str] = field(default_factory=list)
    asked: list[Inquiry] = field(default_factory=list)

    def studies(self, inquiry: Inquiry) -> tuple[str, ...]:
        self.asked.append(inquiry)
        return tuple(dict.fromkeys(series.study_uid for series in self.holds))

    def series(self, study_uid: str) -> tuple[FoundSeries, ...]:
        return tuple(series for series in self.holds if series.study_uid == study_uid)

    def images(self, series: FoundSeries) -> tuple[FoundImage, ...]:
        return self.holds[series]

    def fetch(self, image: FoundImage) -> str:
        fault = self.faults.pop(0) if self.faults else None
        if fault is not None:
            raise fault
        self.fetched.append(image.sop_instance_uid)
        return "stored"


@dataclass
class Clock:
    """Time that passes only in `wait`; asks for the end after `stop_after` waits."""

    now: float = 1000.0
    waits: list[float] = field(default_factory=list)
    stop_after: int = 10**9

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        self.now += seconds
        return len(self.waits) > self.stop_after


def pacs(count: int, *faults: NodeError | None) -> Pacs:
    """A PACS of so many studies of one image."""
    holds: dict[FoundSeries, tuple[FoundImage, ...]] = {}
    for n in range(count):
        uid = f"{n}.1"
        holds[FoundSeries(str(n), uid, "CR")] = (FoundImage(str(n), uid, f"{n}.1.1", CR),)
    return Pacs(holds, list(faults))


def context(wait: Callable[[float], bool], known: Sequence[str] = ()) -> BackfillContext:
    return BackfillContext((Route("chest"),), lambda uids: set(uids) & set(known), (CR,), wait)


def run(
    origin: Pacs, clock: Clock, known: Sequence[str] = (), rate: float = 0
) -> list[BackfilledStudy]:
    pace = Throttle(rate, lambda: clock.now, clock.wait)
    found = find_missing_images(origin, BackfillQuery(DAYS), context(clock.wait, known))
    return list(fetch_missing_images(found, origin, pace, clock.wait))


def test_asks_each_day_and_modality_the_oldest_first() -> None:
    asked = list(inquiries(BackfillQuery(DAYS, "A1"), ("CR", "DX")))
    assert [(one.day.day, one.modality) for one in asked if one.day] == [
        (day, modality) for day in (1, 2, 3) for modality in ("CR", "DX")
    ]
    assert {one.accession_number for one in asked} == {"A1"}
    assert list(inquiries(BackfillQuery(None, "A1"), ("CR",))) == [Inquiry("CR", None, "A1")]


def test_a_span_crosses_months_and_may_be_one_day() -> None:
    assert [d.isoformat() for d in Span(date(2024, 2, 28), date(2024, 3, 1)).days()] == [
        "2024-02-28",
        "2024-02-29",
        "2024-03-01",
    ]
    assert list(Span(date(2026, 1, 1), date(2026, 1, 1)).days()) == [date(2026, 1, 1)]


def test_asks_for_the_modalities_that_routes_take_from_the_peer() -> None:
    routes = (
        Route("a", modality=("CR", "DX", "")),
        Route("b", callers=("PACS",), modality=("DX", "OT")),
        Route("c", callers=("OTHER",), modality=("MG",)),
    )
    assert modalities_wanted(routes, "PACS") == ("CR", "DX", "OT")
    with pytest.raises(BadSettings, match="takes images from PACS"):
        modalities_wanted(routes[2:], "PACS")


@pytest.mark.parametrize(
    ("series", "fits"),
    [
        (CHEST, True),
        (replace(CHEST, body_part=""), True),
        (replace(CHEST, body_part="chest"), True),
        (replace(CHEST, body_part="HAND"), False),
        (replace(CHEST, modality="SEG"), False),
        (replace(CHEST, modality=""), False),
    ],
)
def test_leaves_out_series_that_no_route_takes(series: FoundSeries, fits: bool) -> None:
    assert wanted(series, "PACS", (Route("chest", body_part=("CHEST",)),)) is fits


def test_leaves_out_classes_that_are_not_received_or_never_read() -> None:
    seg = FoundImage("1", "1.1", "1.1.2", "1.2.840.10008.5.1.4.1.1.66.4")
    raw = FoundImage("1", "1.1", "1.1.3", DX_FOR_PROCESSING)
    unsaid = FoundImage("1", "1.1", "1.1.4")
    clock = Clock()
    both = context(clock.wait)
    found = list(
        find_missing_images(Pacs({CHEST: (IMAGE, seg, raw, unsaid)}), BackfillQuery(DAYS), both)
    )
    assert [gap.missing for gap in found] == [(IMAGE, unsaid)]


def test_skips_what_is_known_and_yields_each_study_once() -> None:
    origin = pacs(3)
    done = run(origin, Clock(), known=("1.1.1",))
    assert origin.fetched == ["0.1.1", "2.1.1"]
    assert [(one.found.study_uid, one.fetched) for one in done] == [("0", 1), ("1", 0), ("2", 1)]
    assert len(origin.asked) == 6


def test_keeps_the_rate() -> None:
    origin, clock = pacs(4), Clock()
    run(origin, clock, rate=30)
    assert clock.now == 1000 + 3 * 2  # the first goes at once
    assert origin.fetched == ["0.1.1", "1.1.1", "2.1.1", "3.1.1"]


def test_a_slow_answer_earns_no_burst() -> None:
    clock = Clock()
    pace = Throttle(60, lambda: clock.now, clock.wait)
    pace.turn()
    clock.now += 100
    pace.turn()
    pace.turn()
    assert clock.waits == [0, 0, 1]


def test_a_passing_fault_is_tried_again_with_growing_pauses() -> None:
    origin, clock = pacs(1, TryAgain("busy"), TryAgain("busy")), Clock()
    done = run(origin, clock)
    assert [one.fetched for one in done] == [1]
    assert clock.waits == [0, *PAUSES_S[:2]]


def test_a_lasting_fault_costs_one_image_only() -> None:
    origin, clock = pacs(3, None, GiveUp("damaged"), None), Clock()
    done = run(origin, clock)
    assert [one.fetched for one in done] == [1, 0, 1]
    assert [one.faults for one in done] == [(), ("damaged",), ()]


def test_a_pacs_that_is_away_ends_the_run() -> None:
    tries = MOST_LOST * (1 + len(PAUSES_S))
    origin = pacs(10, *[TryAgain("away")] * tries)
    with pytest.raises(TryAgain, match="away"):
        run(origin, Clock())
    assert origin.faults == []
    assert origin.fetched == []


def test_lost_images_far_apart_do_not_end_the_run() -> None:
    lost = [TryAgain("away")] * (1 + len(PAUSES_S))
    origin = pacs(6, *lost, None, *lost, None, *lost, None)
    assert [one.fetched for one in run(origin, Clock())] == [0, 1, 0, 1, 0, 1]


def test_wrong_settings_end_the_run_at_once() -> None:
    origin = pacs(10, BadSettings("destination unknown"))
    with pytest.raises(BadSettings, match="destination unknown"):
        run(origin, Clock())


def test_a_stop_ends_it_between_images_and_during_a_pause() -> None:
    origin = pacs(3)
    with pytest.raises(Stopped):
        run(origin, Clock(stop_after=1))
    assert origin.fetched == ["0.1.1"]
    origin = pacs(3, TryAgain("busy"))
    with pytest.raises(Stopped):
        run(origin, Clock(stop_after=1))
    assert origin.fetched == []


def test_a_study_that_cannot_be_listed_is_named_and_passed_over() -> None:
    @dataclass
    class Damaged(Pacs):
        def images(self, series: FoundSeries) -> tuple[FoundImage, ...]:
            if series.study_uid == "0":
                raise GiveUp("no such series")
            return super().images(series)

    done = run(Damaged(pacs(2).holds), Clock())
    assert [(one.found.study_uid, one.fetched, one.faults) for one in done] == [
        ("0", 0, ("no such series",)),
        ("1", 1, ()),
    ]
