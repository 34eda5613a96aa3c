"""A worker's turn: claim, decode, read, report."""

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import structlog

from dicom_node.domain.admission import unsuitable
from dicom_node.domain.errors import GiveUp, LeaseLost, NodeError, NotAnalysable, speakable
from dicom_node.domain.findings import OWN_POINT, Algorithm, Findings, PointChoice
from dicom_node.domain.pipeline import Adjustable, Archive, Ledger, Pipeline
from dicom_node.domain.study import Radiograph
from dicom_node.domain.work import JOB_RETRY, Claim, Job, Outcome, after_failure
from dicom_node.flow.lease import kept_lease
from dicom_node.flow.shadow import Shadow, read_in_shadow
from dicom_node.process import crash_points

log = structlog.get_logger()

Source = Any
"""The source's header as the adapters and reports know it; opaque to the story."""


Film = tuple[Source, Radiograph | str]
"""A stored file's header, and its image or the reason for none."""


@dataclass(frozen=True, slots=True)
class PipelineRequest:
    """What is asked of an image: a pipeline's findings, at an operating point."""

    pipeline: str
    choice: PointChoice = OWN_POINT


@dataclass(frozen=True, slots=True)
class Reading:
    """One image and what was said of it; `findings` in the order of the requests."""

    source: Source
    radiograph: Radiograph | None
    requests: tuple[PipelineRequest, ...]
    findings: tuple[Findings, ...]


@dataclass(frozen=True, slots=True)
class InferenceContext:
    """What reading needs: decoders for a stored file, the pipelines, their gate."""

    header: Callable[[Path], Source]
    decode: Callable[[Path], Film]
    pipelines: Mapping[str, Pipeline]
    gate: Pipeline | None = None
    """Asked first; an image that it declines is not shown to the others."""
    choices: Mapping[str, PointChoice] = field(default_factory=dict)
    """The operating point of each route that asks for one."""
    shadow: Shadow | None = None
    """Challengers, which read after the job is finished."""


def read(path: Path, names: tuple[str, ...], context: InferenceContext) -> Reading:
    """Ask every pipeline at its own operating point, as `run_pipelines` does."""
    return run_pipelines(path, tuple(PipelineRequest(name) for name in names), context)


def run_pipelines(
    path: Path,
    requests: tuple[PipelineRequest, ...],
    context: InferenceContext,
    refusal: str | None = None,
) -> Reading:
    """Decode once, then ask every pipeline once; none when there is a `refusal`.

    What cannot be read becomes Findings with `not_analysed`, never an error and
    never silence. Raises GiveUp for a pipeline that the configuration lacks.
    """
    names = dict.fromkeys(request.pipeline for request in requests)
    missing = [name for name in names if name not in context.pipelines]
    if missing:
        raise GiveUp(f"pipeline {missing[0]!r} is not configured")
    started = time.perf_counter()
    source, shown = context.decode(path) if refusal is None else (context.header(path), refusal)
    spent_ms = {"decode": 1000 * (time.perf_counter() - started)}
    if not isinstance(shown, str) and context.gate is not None:
        started = time.perf_counter()
        shown = _pass_gate(context.gate, shown)
        spent_ms[context.gate.name] = 1000 * (time.perf_counter() - started)
    if isinstance(shown, str):
        declined = tuple(
            _decline(context.pipelines[request.pipeline], shown) for request in requests
        )
        return Reading(source, None, requests, declined)
    answers: dict[PipelineRequest, Findings] = {}
    for name in names:
        choices = tuple(request.choice for request in requests if request.pipeline == name)
        said = _ask(context.pipelines[name], shown, choices, spent_ms)
        answers |= zip((PipelineRequest(name, choice) for choice in choices), said, strict=True)
    return Reading(source, shown, requests, tuple(answers[request] for request in requests))


def requests_of(
    jobs: tuple[Job, ...], choices: Mapping[str, PointChoice]
) -> tuple[PipelineRequest, ...]:
    """Give each pipeline with every operating point that its routes ask for."""
    wanted = [
        PipelineRequest(job.pipeline, choices.get(route, OWN_POINT))
        for job in jobs
        for route in job.routes
    ]
    return tuple(dict.fromkeys(wanted))


def _pass_gate(gate: Pipeline, radiograph: Radiograph) -> Radiograph | str:
    """Give the image, or why the gate declines it."""
    try:
        return gate.read(radiograph).not_analysed or radiograph
    except NotAnalysable as error:
        return str(error)


def _ask(
    pipeline: Pipeline,
    radiograph: Radiograph,
    choices: tuple[PointChoice, ...],
    spent_ms: Mapping[str, float],
) -> tuple[Findings, ...]:
    """Let a pipeline read; one without operating points says the same to every choice."""
    try:
        if isinstance(pipeline, Adjustable):
            said = pipeline.read_at(radiograph, choices)
        else:
            said = (pipeline.read(radiograph),) * len(choices)
    except NotAnalysable as error:
        return (_decline(pipeline, str(error)),) * len(choices)
    return tuple(replace(answer, timings_ms={**spent_ms, **answer.timings_ms}) for answer in said)


def _decline(pipeline: Pipeline, reason: str) -> Findings:
    # no weights took part, so no digest is named
    return Findings(Algorithm(pipeline.name, pipeline.version, ""), not_analysed=reason)


@dataclass(frozen=True, slots=True)
class Worker:
    """Who works, what it reads and reports with, and how long it holds a claim."""

    name: str
    ledger: Ledger
    archive: Archive
    context: InferenceContext
    report: Callable[[Claim, Reading, float], Outcome]
    clock: Callable[[], float]
    lease_s: float

    def claim(self) -> Claim | None:
        """Claim the jobs of the most urgent instance that waits."""
        return self.ledger.claim_jobs(self.name, self.clock(), self.lease_s)

    def holding(self, claim: Claim) -> AbstractContextManager[None]:
        """Keep the lease of a claim alive until the block ends."""
        return kept_lease(self.ledger, claim, self.clock, self.lease_s)


def work_once(worker: Worker) -> bool:
    """Do the jobs of one instance, if any wait; say whether there were any."""
    claim = worker.claim()
    if claim is not None:
        work_on(claim, worker)
    return claim is not None


def work_on(claim: Claim, worker: Worker) -> None:
    """Do the jobs of one instance to their end, whatever that is; never raises."""
    context, clock = worker.context, worker.clock
    bound = log.bind(
        sop_instance_uid=claim.arrival.instance.ref.sop_instance_uid,
        jobs=[job.id for job in claim.jobs],
        worker=claim.worker,
    )
    crash_points.here("jobs claimed")
    bound.info("jobs_claimed", pipelines=[job.pipeline for job in claim.jobs])
    try:
        with worker.holding(claim), worker.archive.opened(claim.arrival.file.key) as path:
            requests = requests_of(claim.jobs, context.choices)
            reading = run_pipelines(path, requests, context, unsuitable(claim.arrival.instance))
            outcome = worker.report(claim, reading, clock())
        crash_points.here("results made")
        worker.ledger.finish_jobs(claim, outcome, clock())
        crash_points.here("jobs finished")
    except LeaseLost:
        bound.warning("jobs_lease_lost")
    except Exception as error:  # noqa: BLE001 - the worker's edge: no image may stop the queue
        _fail(claim, worker, error, bound)
    else:
        bound.info("jobs_finished", **_summary(claim.jobs, outcome))
        if context.shadow is not None and reading.radiograph is not None:
            first = {request.pipeline: request.choice for request in reversed(reading.requests)}
            image = claim.instance_id, reading.radiograph
            read_in_shadow(context.shadow, *image, first, clock())


def _fail(
    claim: Claim,
    worker: Worker,
    error: Exception,
    bound: structlog.typing.FilteringBoundLogger,
) -> None:
    """Postpone or discard the jobs; what cannot be written now is rescued after its lease."""
    attempt, now = max(job.attempt for job in claim.jobs), worker.clock()
    failure = after_failure(error, attempt, now, JOB_RETRY)
    bound = bound.bind(attempt=attempt, error=type(error).__name__, reason=speakable(error))
    try:
        worker.ledger.fail_jobs(claim, failure, now)
    except LeaseLost:
        bound.warning("jobs_lease_lost")
    except NodeError as fault:
        bound.error("jobs_failure_not_recorded", fault=str(fault))
    else:
        bound.error("jobs_postponed" if failure.due_at is not None else "jobs_discarded")


def _summary(jobs: tuple[Job, ...], outcome: Outcome) -> dict[str, object]:
    return {
        "not_analysed": [f.not_analysed for f in outcome.findings if f.not_analysed],
        "positive": [f.algorithm.name for f in outcome.findings if f.positive],
        "urgent": any(f.urgent for f in outcome.findings),
        "objects": [made.kind for made, _ in outcome.objects],
        "deliveries": len(outcome.deliveries),
        "attempt": max(job.attempt for job in jobs),
    }
