"""A hospital around a node."""

from collections.abc import Iterator

import pytest

from tests.listeners import HL7Listener, Orthanc


@pytest.fixture
def orthanc() -> Iterator[Orthanc]:
    with Orthanc() as running:
        yield running


@pytest.fixture
def ris() -> Iterator[HL7Listener]:
    with HL7Listener() as running:
        yield running
