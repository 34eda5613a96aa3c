"""What was said of an image before, and what a new reading does to it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from dicom_node.domain.findings import Findings, findings_as_json
from dicom_node.domain.study import InstanceRef
from dicom_node.domain.work import ObjectKind

Conclusion = tuple[tuple[str, str, bool], ...]
"""Code, presence and urgency of every finding: what a physician would act on."""
ReadingKey = tuple[str, str, str, str]
"""Pipeline, version, weights' SHA-256 and operating points."""


@dataclass(frozen=True, slots=True)
class Sent:
    """An object of an earlier reading, and where it went."""

    destination: str
    slot: str
    kind: ObjectKind
    ref: InstanceRef
    series_uid: str
    made_at: float


@dataclass(frozen=True, slots=True)
class History:
    """Earlier results of one image."""

    sent: tuple[Sent, ...] = ()
    """The newest first."""
    said: Mapping[str, Conclusion] = field(default_factory=dict)
    """Each pipeline's latest conclusion."""
    generations: Mapping[ReadingKey, int] = field(default_factory=dict)
    """Of a reading by each of those who have read the image."""

    def with_generation(self, findings: Findings) -> Findings:
        """Tell a reading that comes back from the one that it repeats."""
        by = findings.algorithm
        reader = (by.name, by.version, by.model_sha256, ", ".join(findings.points))
        return replace(findings, generation=self.generations.get(reader, 0))

    def predecessor(self, slot: str, destination: str) -> tuple[Sent, ...]:
        """Give the object that a new one takes the place of, if there is one."""
        matching = (s for s in self.sent if (s.slot, s.destination) == (slot, destination))
        return tuple(matching)[:1]

    def superseded(
        self, route: str, pipelines: tuple[str, ...], destination: str
    ) -> tuple[Sent, ...]:
        """Give the objects that a route's new set replaces and that no note has rejected."""
        here = [
            s
            for s in self.sent
            if s.destination == destination and _within(s.slot, route, pipelines)
        ]
        noted_at = max((s.made_at for s in here if s.kind == "rejection"), default=0.0)
        return tuple(s for s in here if s.kind != "rejection" and s.made_at >= noted_at)

    def was_notified(self, destination: str) -> bool:
        """Whether a message about the image went to this receiver."""
        return any(s.destination == destination and s.kind in ("oru", "fhir") for s in self.sent)

    def not_yet_reported(self, findings: tuple[Findings, ...]) -> tuple[Findings, ...]:
        """Give the findings of pipelines that have not read the image before."""
        return tuple(answer for answer in findings if answer.algorithm.name not in self.said)

    def changed(self, findings: tuple[Findings, ...]) -> bool:
        """Whether a pipeline concludes otherwise than it did; a first reading does not."""
        return any(
            answer.algorithm.name in self.said
            and self.said[answer.algorithm.name] != conclusion(findings_as_json(answer))
            for answer in findings
            if answer.not_analysed is None
        )


def slot_of(route: str, kind: ObjectKind, pipelines: tuple[str, ...]) -> str:
    """Name the place that an object takes among an image's results."""
    return f"{route}/{kind}/{'+'.join(sorted(pipelines))}"


def _within(slot: str, route: str, pipelines: tuple[str, ...]) -> bool:
    """Whether a slot is one of a route's set, or of a part of it."""
    place = slot.rsplit("/", 2)  # "" where an object was made before there were slots
    return place[0] == route and set(place[-1].split("+")) <= set(pipelines)


def conclusion(findings: Mapping[str, Any]) -> Conclusion:
    """Tell what findings, as `findings_as_json` gives them, conclude."""
    return tuple(
        sorted(
            (finding["code"]["value"], finding["present"], bool(finding["urgent"]))
            for finding in findings["findings"]
        )
    )
