"""A process that dies while it asks or hears leaves nothing uncommitted, or doubled."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from dicom_node.process import crash_points
from dicom_node.storage.queue.commitments import HOLD_S
from tests.support.committing_node import CommittingNode, committing_node
from tests.support.committing_pacs import pacs, report
from tests.support.paths import ROOT
from tests.support.processes import COMMITMENT_POINTS


def kept(transaction_uid: str, uids: list[str]) -> Dataset:
    return report(transaction_uid, uids)


def die(made: CommittingNode, point: str) -> None:
    """Let a process of its own ask, and die at a point."""
    mark = made.config.parent / "mark"
    ended = subprocess.run(
        [sys.executable, "-m", "tests.support.dying", str(made.config)],
        cwd=ROOT,
        env={**os.environ, crash_points.AT: f"deliver:{point}", crash_points.MARK: str(mark)},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == crash_points.EXIT_CODE, ended.stderr.decode()


@pytest.mark.parametrize("point", ["uncommitted", *COMMITMENT_POINTS])
def test_what_was_asked_is_committed_in_the_end(point: str, tmp_path: Path) -> None:
    with pacs(reports=kept) as running, committing_node(tmp_path, running.port) as made:
        uid = made.make()
        made.deliver_now()
        die(made, point)
        assert made.states() == [
            {
                "uncommitted": "due",
                "commitment asked": "asked",
                "commitment accepted": "committed",  # the report came first
                "commitment heard": "committed",
            }[point]
        ]
        made.ask(linger_s=20, later_s=HOLD_S + 1)
        assert made.states() == ["committed"]
        assert running.stored == [uid]
        seen = [running.asked(number)[0] for number in range(len(running.requests))]
        assert len(set(seen)) == len(seen)
        assert made.ask(later_s=1e6) == 0
