"""Several waiting images through the networks at once, for a GPU."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import structlog

from dicom_node.domain.admission import unsuitable
from dicom_node.domain.pipeline import Archive, Batched, Ledger
from dicom_node.domain.study import Radiograph
from dicom_node.domain.work import Claim, Outcome
from dicom_node.flow.infer import InferenceContext, Reading, Source, work_on
from dicom_node.flow.lease import kept_lease
from dicom_node.flow.lending import lent

log = structlog.get_logger()

MOST = 16
"""Images in a batch; their pixels are in memory together."""
PAUSE_S = 0.005
"""Between two looks at the queue while a batch is waited for."""


Film = tuple[Source, Radiograph]
"""What `InferenceContext.decode` gives."""


def work_batch(
    ledger: Ledger,
    archive: Archive,
    reader: InferenceContext,
    report: Callable[[Claim, Reading, float], Outcome],
    worker: str,
    *,
    clock: Callable[[], float],
    lease_s: float,
    wait_s: float,
) -> bool:
    """Do the jobs of the instances that wait, as a batch; say whether there were any.

    Waits up to `wait_s` for company. An instance that was tried before is read alone:
    if it kills the worker, it takes no other with it. Results are the same as one
    by one; only the networks run together.
    """
    claims = _gather(ledger, worker, clock, lease_s, wait_s)
    alone = [one for one in claims if _tried(one)]
    together = [one for one in claims if not _tried(one)]
    with ExitStack() as held:
        for claim in claims:
            held.enter_context(kept_lease(ledger, claim, clock, lease_s))
        for claim in alone:
            work_on(claim, ledger, archive, reader, report, clock=clock, lease_s=lease_s)
        prepared = _prepare(together, archive, reader) if len(together) > 1 else reader
        for claim in together:
            work_on(claim, ledger, archive, prepared, report, clock=clock, lease_s=lease_s)
    return bool(claims)


def _gather(
    ledger: Ledger, worker: str, clock: Callable[[], float], lease_s: float, wait_s: float
) -> list[Claim]:
    """Claim until the batch is full, time is up, or one comes that must be alone."""
    claims: list[Claim] = []
    until = time.monotonic() + wait_s
    while len(claims) < MOST:
        claim = ledger.claim_jobs(worker, clock(), lease_s)
        if claim is not None:
            claims.append(claim)
            if _tried(claim):
                break
        elif not claims or time.monotonic() >= until:
            break
        else:
            time.sleep(PAUSE_S)
    return claims


def _tried(claim: Claim) -> bool:
    return any(job.attempt > 1 for job in claim.jobs)


def _prepare(claims: list[Claim], archive: Archive, reader: InferenceContext) -> InferenceContext:
    """Decode a batch and run the networks on it; give a reader that has it all."""
    wanted = [one for one in claims if unsuitable(one.arrival.instance) is None]
    with ThreadPoolExecutor(max_workers=4) as pool:
        decoded = dict(pool.map(lambda claim: _decode(claim, archive, reader), wanted))
    films = [film[1] for film in decoded.values() if not isinstance(film, Exception)]
    asked = {job.pipeline for one in wanted for job in one.jobs}
    readers: list[object] = [reader.gate, *(reader.pipelines.get(name) for name in sorted(asked))]
    try:
        for one in readers:
            if isinstance(one, Batched):
                one.prefetch(films)
    except Exception as error:  # noqa: BLE001 - for example too little memory: then one by one
        log.warning("batch_failed", images=len(films), error=type(error).__name__)
    else:
        log.info("batch_read", images=len(films))

    def decode(path: Path) -> Film:
        film = decoded.get(path)
        if film is None:  # the archive was away just now
            return reader.decode(path)
        if isinstance(film, Exception):
            raise film
        return film

    return replace(reader, decode=decode)


def _decode(
    claim: Claim, archive: Archive, reader: InferenceContext
) -> tuple[Path | None, Film | Exception]:
    path: Path | None = None
    try:
        with lent(archive) as path_of:
            path = path_of(claim.arrival.file.key)
            return path, reader.decode(path)
    except Exception as error:  # noqa: BLE001 - told again where the image's own job handles it
        return path, error
