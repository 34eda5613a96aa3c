"""Back-filling: what the PACS has and the node lacks is fetched."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import structlog

from dicom_node.domain.admission import DX_FOR_PROCESSING, Route, mismatch
from dicom_node.domain.errors import BadSettings, GiveUp, NodeError, TryAgain
from dicom_node.domain.exchange.retrieval import (
    Catalogue,
    FoundImage,
    FoundSeries,
    Inquiry,
    Origin,
    Span,
)
from dicom_node.domain.study import Instance, InstanceRef

log = structlog.get_logger()

PAUSES_S = (2.0, 5.0, 15.0)
"""Before the second, third and fourth try of one request."""
MOST_LOST = 3
"""Images in a row that could not be had now, after which the PACS counts as away."""

Answer = TypeVar("Answer")
Wait = Callable[[float], bool]
"""Waits so many seconds, or until the stop that it then reports."""


class Stopped(TryAgain):
    """Somebody asked for the end; what is missing stays missing until the next run."""


@dataclass(frozen=True, slots=True)
class BackfillQuery:
    """What to look for: a span of study dates, an accession number, or both."""

    span: Span | None = None
    accession_number: str = ""


@dataclass(frozen=True, slots=True)
class BackfillContext:
    """What finding and fetching need beside the PACS."""

    routes: tuple[Route, ...]
    known: Callable[[Sequence[str]], Collection[str]]
    """Says which SOP Instance UIDs the node has received or made itself."""
    classes: Collection[str]
    """SOP classes that the node receives."""
    wait: Wait
    asked: Callable[[Inquiry], None] = lambda _inquiry: None
    """Tells the audit trail of a request; never raises."""


@dataclass(frozen=True, slots=True)
class MissingImages:
    """A study, how many radiographs the PACS has of it, and those that the node lacks."""

    study_uid: str
    images: int
    missing: tuple[FoundImage, ...]
    fault: str = ""
    """Why the PACS could not say what the study holds."""


@dataclass(frozen=True, slots=True)
class BackfilledStudy:
    """What became of one study's missing radiographs; `faults` says why some stay so."""

    found: MissingImages
    fetched: int
    faults: tuple[str, ...] = ()


class Throttle:
    """Spaces requests evenly, so many a minute; 0 means without a limit."""

    def __init__(self, per_minute: float, clock: Callable[[], float], wait: Wait) -> None:
        self._every_s = 60 / per_minute if per_minute else 0.0
        self._clock = clock
        self._wait = wait
        self._next_at = clock()

    def turn(self) -> None:
        """Wait for the next turn; raises Stopped."""
        pause_s = max(0.0, self._next_at - self._clock())
        if self._wait(pause_s):
            raise Stopped("stopped; the next run goes on from here")
        # a slow answer earns no burst afterwards
        self._next_at = max(self._next_at, self._clock()) + self._every_s


def modalities_wanted(routes: Sequence[Route], calling_ae: str) -> tuple[str, ...]:
    """Name the modalities that routes take from a sender, each once.

    Raises BadSettings when there is none.
    """
    taking = [route for route in routes if {"*", calling_ae} & set(route.callers)]
    named = dict.fromkeys(modality for route in taking for modality in route.modality if modality)
    if not named:
        raise BadSettings(
            f"no [[routes]] takes images from {calling_ae}; add it to a route's callers"
        )
    return tuple(named)


def inquiries(query: BackfillQuery, modalities: Sequence[str]) -> Iterator[Inquiry]:
    """Ask day by day and modality by modality: a PACS may cap the matches of one request."""
    days = (None,) if query.span is None else query.span.days()
    for day in days:
        for modality in modalities:
            yield Inquiry(modality, day, query.accession_number)


def find_missing_images(
    origin: Catalogue, query: BackfillQuery, context: BackfillContext
) -> Iterator[MissingImages]:
    """Yield every study that has radiographs for the node, and what is missing of it.

    Raises what the PACS raises when asking again does not help.
    """
    seen: set[str] = set()
    for inquiry in inquiries(query, modalities_wanted(context.routes, origin.ae_title)):
        context.asked(inquiry)
        for study_uid in patiently(lambda: origin.studies(inquiry), context.wait):  # noqa: B023 - called at once
            if study_uid in seen:
                continue
            seen.add(study_uid)
            try:
                images = patiently(lambda: _images(origin, study_uid, context), context.wait)  # noqa: B023 - called at once
            except GiveUp as error:
                yield MissingImages(study_uid, 0, (), str(error))
                continue
            if images:
                known = context.known([image.sop_instance_uid for image in images])
                missing = tuple(image for image in images if image.sop_instance_uid not in known)
                yield MissingImages(study_uid, len(images), missing)


def _images(origin: Catalogue, study_uid: str, context: BackfillContext) -> tuple[FoundImage, ...]:
    """Give the study's instances that a route may take, as far as the PACS tells."""
    found = {
        image.sop_instance_uid: image
        for series in origin.series(study_uid)
        if wanted(series, origin.ae_title, context.routes)
        for image in origin.images(series)
        if not image.sop_class_uid
        or (image.sop_class_uid in context.classes and image.sop_class_uid != DX_FOR_PROCESSING)
    }
    return tuple(found.values())


def wanted(series: FoundSeries, calling_ae: str, routes: Sequence[Route]) -> bool:
    """Say whether any route may take images of the series; what is not said may fit."""
    known = Instance(
        InstanceRef("", ""),
        series.study_uid,
        series.series_uid,
        transfer_syntax_uid="",
        modality=series.modality,
        body_part=series.body_part,
    )
    return any(
        mismatch(_easier(route, series), known, calling_ae, any_view=True) is None
        for route in routes
    )


def _easier(route: Route, series: FoundSeries) -> Route:
    return route if series.body_part else replace(route, body_part=("",))


def fetch_missing_images(
    studies: Iterator[MissingImages], origin: Origin, pace: Throttle, wait: Wait
) -> Iterator[BackfilledStudy]:
    """Fetch what each study lacks, one image after another; yield a line a study.

    Raises Stopped, TryAgain when the PACS is away, BadSettings when it needs another
    configuration; whatever was stored until then is known to the next run.
    """
    lost = 0
    for study in studies:
        fetched, faults = 0, [study.fault] if study.fault else []
        for image in study.missing:
            pace.turn()
            try:
                words = patiently(lambda: origin.fetch(image), wait)  # noqa: B023 - called at once
            except (Stopped, BadSettings):
                raise
            except NodeError as error:
                lost = lost + 1 if isinstance(error, TryAgain) else 0
                faults.append(str(error))
                log.warning(
                    "image_not_fetched", sop_instance_uid=image.sop_instance_uid, reason=str(error)
                )
                if lost >= MOST_LOST:
                    raise
            else:
                fetched, lost = fetched + 1, 0
                log.info("image_fetched", sop_instance_uid=image.sop_instance_uid, words=words)
        yield BackfilledStudy(study, fetched, tuple(faults))


def patiently(ask: Callable[[], Answer], wait: Wait) -> Answer:
    """Ask, and again after a pause where the fault may pass; raises the last fault."""
    for pause_s in PAUSES_S:
        try:
            return ask()
        except Stopped:
            raise
        except TryAgain as error:
            log.warning("request_failed", reason=str(error), pause_s=pause_s)
            if wait(pause_s):
                raise Stopped("stopped; the next run goes on from here") from error
    return ask()
