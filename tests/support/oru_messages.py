"""A made-up finding and its message, checked with hl7apy's strict validation."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC
from typing import Any

import pytest

from dicom_node.domain.study import HL7Destination
from dicom_node.formats.hl7 import text as er7
from dicom_node.formats.hl7.segments import judge
from dicom_node.results.example import example
from dicom_node.results.messages import oru

HEAD = '[[hl7]]\nname = "ris"\nhost = "127.0.0.1"\nport = 2575\n'
RIS = HL7Destination("ris", "127.0.0.1", 2575, "RIS", "HOSP")
Say = Callable[..., list[list[str]]]


@pytest.fixture
def say() -> Say:
    """Give the example's message for a receiver with changes, as fields."""

    def build(**changes: Any) -> list[list[str]]:  # noqa: ANN401 - any field of the receiver
        to = replace(RIS, **changes)
        context = oru.HL7Context(1_700_000_000.0, to, "CXRAI", "HOSP", UTC)
        made = oru.build(example(), context)
        assert made is not None
        text = made.content.decode(er7.codec(to.charset))
        assert judge(text) == f"valid HL7 {to.version} (strict)"
        return [segment.split("|") for segment in text.rstrip("\r").split("\r")]

    return build
