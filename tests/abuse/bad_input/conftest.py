"""A receiver and an association to it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.raw_scu import CR, DX, DX_FOR_PROCESSING, EXPLICIT, IMPLICIT, SC, RawSCU
from tests.support.receiver import Receiver, receiver

CONTEXTS = (
    (CR, (EXPLICIT,)),  # 1
    (DX, (EXPLICIT,)),  # 3
    (DX_FOR_PROCESSING, (EXPLICIT,)),  # 5
    (SC, (EXPLICIT,)),  # 7
    (CR, (IMPLICIT,)),  # 9
    (CR, ("1.2.840.10008.1.2.1.99",)),  # 11, deflated
    (CR, ("1.2.840.10008.1.2.4.51",)),  # 13, JPEG extended
)


@pytest.fixture(autouse=True)
def _no_patient_in_the_log(capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
    yield
    logged = "".join(capsys.readouterr())
    assert "scp_started" in logged or not logged
    assert "PAT1" not in logged and "PATIENT" not in logged


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Receiver]:
    with receiver(tmp_path) as running:
        yield running


@pytest.fixture
def scu(node: Receiver) -> Iterator[RawSCU]:
    """An open association; whatever a test sent, it must still answer an echo."""
    with RawSCU(node.port, CONTEXTS) as association:
        yield association
        assert association.echo() == 0x0000
        assert association.release()
