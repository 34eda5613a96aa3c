"""A process that dies between two durable writes loses nothing and doubles nothing."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from dicom_node.process import crash_points
from tests.support.listeners import until
from tests.support.paths import ROOT
from tests.support.processes import (
    COMMITMENT_POINTS,
    OBJECTS,
    POINTS,
    RoleProcesses,
    crash_at,
    died,
    role_processes,
)

pytestmark = pytest.mark.peers


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RoleProcesses]:
    with role_processes(tmp_path_factory.mktemp("ward"), tuple(POINTS)) as running:
        yield running


@pytest.mark.parametrize(
    ("role", "point"), [(role, point) for role, points in POINTS.items() for point in points]
)
def test_every_acknowledged_film_has_one_result_set_and_one_alert(
    role: str, point: str, node: RoleProcesses
) -> None:
    environment = crash_at(node.config.parent, role, point)
    node.restart(role, environment)
    study = node.send()
    until(lambda: died(environment), f"the death of {role} at {point!r}")
    node.wait_for(study)
    # what went before is as it was: nothing came a second time under another name
    for earlier, arrived in node.arrivals().items():
        assert arrived == OBJECTS
        assert len(node.alerts(earlier)) == 1


def test_every_point_is_in_the_code_and_is_tried() -> None:
    known = set(get_args(crash_points.Point))
    placed = {
        point
        for path in (ROOT / "dicom_node").rglob("*.py")
        for point in re.findall(r'crash_points\.here\("([^"]+)"\)', path.read_text())
    }
    tried = {point for points in POINTS.values() for point in points} | {*COMMITMENT_POINTS}
    assert placed == known == tried


def test_nothing_happens_without_the_variable(tmp_path: Path) -> None:
    crash_points.here("file written")
    assert not list(tmp_path.iterdir())
