"""Several waiting images through the networks at once, for a GPU."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace

import structlog

from dicom_node.domain.admission import unsuitable
from dicom_node.domain.pipeline import Batched
from dicom_node.domain.work import Claim
from dicom_node.flow.infer import Film, Worker, work_on

log = structlog.get_logger()

MOST = 16
"""Images in a batch; their pixels are in memory together."""
PAUSE_S = 0.005
"""Between two looks at the queue while a batch is waited for."""


def work_batch(worker: Worker, wait_s: float) -> bool:
    """Do the jobs of the instances that wait, as a batch; say whether there were any.

    Waits up to `wait_s` for company. An instance that was tried before is read alone:
    if it kills the worker, it takes no other with it. Results are the same as one
    by one; only the networks run together.
    """
    claims = _gather(worker, wait_s)
    alone = [claim for claim in claims if _tried(claim)]
    together = [claim for claim in claims if not _tried(claim)]
    with ExitStack() as held:
        for claim in claims:
            held.enter_context(worker.holding(claim))
        for claim in alone:
            work_on(claim, worker)
        films = _prepare(together, worker) if len(together) > 1 else {}
        for claim in together:
            work_on(claim, _knowing(worker, films.get(claim.instance_id)))
    return bool(claims)


def _gather(worker: Worker, wait_s: float) -> list[Claim]:
    """Claim until the batch is full, time is up, or one comes that must be alone."""
    claims: list[Claim] = []
    until = time.monotonic() + wait_s
    while len(claims) < MOST:
        claim = worker.claim()
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


def _prepare(claims: list[Claim], worker: Worker) -> dict[int, Film | None]:
    """Decode a batch and run the networks on it; give what is decoded by instance."""
    wanted = [claim for claim in claims if unsuitable(claim.arrival.instance) is None]
    with ThreadPoolExecutor(max_workers=4) as pool:
        decoded = list(pool.map(lambda claim: _decode(claim, worker), wanted))
    shown = [film[1] for film in decoded if film is not None]
    radiographs = [film for film in shown if not isinstance(film, str)]
    asked = {job.pipeline for claim in wanted for job in claim.jobs}
    context = worker.context
    readers: list[object] = [context.gate, *(context.pipelines.get(name) for name in sorted(asked))]
    try:
        for reader in readers:
            if isinstance(reader, Batched):
                reader.prefetch(radiographs)
    except Exception as error:  # noqa: BLE001 - for example too little memory: then one by one
        log.warning("batch_failed", images=len(radiographs), error=type(error).__name__)
    else:
        log.info("batch_read", images=len(radiographs))
    return {claim.instance_id: film for claim, film in zip(wanted, decoded, strict=True)}


def _decode(claim: Claim, worker: Worker) -> Film | None:
    try:
        with worker.archive.opened(claim.arrival.file.key) as path:
            return worker.context.decode(path)
    except Exception:  # noqa: BLE001 - the image's own job meets it again, and settles it
        return None


def _knowing(worker: Worker, film: Film | None) -> Worker:
    """Spare a worker decoding what is decoded."""
    if film is None:
        return worker
    return replace(worker, context=replace(worker.context, decode=lambda _path: film))
