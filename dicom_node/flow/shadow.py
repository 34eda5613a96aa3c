"""Challengers read what has been read, and nothing follows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog

from dicom_node.domain.errors import speakable
from dicom_node.domain.findings import Findings, PointChoice
from dicom_node.domain.pipeline import Adjustable, Pipeline
from dicom_node.domain.study import Radiograph

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Shadow:
    """The challengers by task, and what keeps the findings of an instance."""

    challengers: Mapping[str, Pipeline]
    keep: Callable[[int, Findings, float], None]


def read_in_shadow(
    shadow: Shadow,
    instance_id: int,
    radiograph: Radiograph,
    choices: Mapping[str, PointChoice],
    now: float,
) -> None:
    """Let the challengers of the tasks in `choices` read; never raises.

    The job is finished: a challenger that fails is logged and nothing more.
    """
    for task, choice in choices.items():
        challenger = shadow.challengers.get(task)
        if challenger is None:
            continue
        try:
            shadow.keep(instance_id, _read(challenger, radiograph, choice), now)
        except Exception as error:  # noqa: BLE001 - the shadow's edge: it may never harm a job
            named = {"error": type(error).__name__, "reason": speakable(error)}
            log.error("shadow_failed", pipeline=task, version=challenger.version, **named)


def _read(challenger: Pipeline, radiograph: Radiograph, choice: PointChoice) -> Findings:
    if isinstance(challenger, Adjustable):
        (findings,) = challenger.read_at(radiograph, (choice,))
        return findings
    return challenger.read(radiograph)
