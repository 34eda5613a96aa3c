"""Reading: one decode, the gate first, a reason for every refusal."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dicom_node.domain.errors import GiveUp, NotAnalysable
from dicom_node.domain.findings import Algorithm, Findings
from dicom_node.domain.pipeline import Check
from dicom_node.domain.study import InstanceRef, Radiograph
from dicom_node.flow.infer import Film, InferenceContext, PipelineRequest, read, run_pipelines

IMAGE = Radiograph(np.zeros((300, 300), np.float32), InstanceRef("1.2", "1.2.3"))


@dataclass
class Speaking:
    """A pipeline that says what it is told to."""

    name: str
    not_analysed: str | None = None
    error: Exception | None = None
    asked: int = 0
    version: str = "1"
    device: str = "none"

    def read(self, radiograph: Radiograph) -> Findings:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return Findings(
            Algorithm(self.name, self.version, "a" * 64),
            not_analysed=self.not_analysed,
            timings_ms={"inference": 1.0},
        )

    def verify(self) -> tuple[Check, ...]:
        return ()


@dataclass
class Files:
    """Decoders that count."""

    fault: str = ""
    decoded: list[Path] = field(default_factory=list)

    def header(self, path: Path) -> Any:  # noqa: ANN401 - opaque to the story
        return "header"

    def decode(self, path: Path) -> Film:
        self.decoded.append(path)
        return "header", self.fault or IMAGE


def reader(files: Files, *pipelines: Speaking, gate: Speaking | None = None) -> InferenceContext:
    return InferenceContext(files.header, files.decode, {one.name: one for one in pipelines}, gate)


def test_one_decode_serves_every_pipeline() -> None:
    files, first, second = Files(), Speaking("a"), Speaking("b")
    reading = read(Path("x"), ("b", "a"), reader(files, first, second))
    assert [one.algorithm.name for one in reading.findings] == ["b", "a"]
    assert len(files.decoded) == 1
    assert {"decode", "inference"} <= set(reading.findings[0].timings_ms)


def test_the_gate_declines_for_all() -> None:
    gate, pipeline = Speaking("gate", not_analysed="a hand"), Speaking("a")
    reading = read(Path("x"), ("a",), reader(Files(), pipeline, gate=gate))
    assert reading.findings[0].not_analysed == "a hand"
    assert reading.findings[0].algorithm.model_sha256 == ""
    assert pipeline.asked == 0


def test_the_gate_lets_pass() -> None:
    gate, pipeline = Speaking("gate"), Speaking("a")
    reading = read(Path("x"), ("a",), reader(Files(), pipeline, gate=gate))
    assert reading.findings[0].not_analysed is None
    assert "gate" in reading.findings[0].timings_ms
    assert (gate.asked, pipeline.asked) == (1, 1)


def test_what_cannot_be_decoded_is_declined_with_the_reason() -> None:
    files = Files("truncated pixel data")
    reading = read(Path("x"), ("a", "b"), reader(files, Speaking("a"), Speaking("b")))
    assert [one.not_analysed for one in reading.findings] == ["truncated pixel data"] * 2
    assert (reading.source, reading.radiograph) == ("header", None)


def test_a_refusal_of_the_header_decodes_nothing() -> None:
    files = Files()
    reading = run_pipelines(
        Path("x"), (PipelineRequest("a"),), reader(files, Speaking("a")), "view LL, not frontal"
    )
    assert reading.findings[0].not_analysed == "view LL, not frontal"
    assert files.decoded == []


def test_one_pipeline_may_decline_and_the_other_read() -> None:
    declining = Speaking("a", error=NotAnalysable("no lungs seen"))
    reading = read(Path("x"), ("a", "b"), reader(Files(), declining, Speaking("b")))
    assert [one.not_analysed for one in reading.findings] == ["no lungs seen", None]


def test_a_pipeline_that_is_not_configured_is_given_up() -> None:
    with pytest.raises(GiveUp, match="'b' is not configured"):
        read(Path("x"), ("b",), reader(Files(), Speaking("a")))
