"""Peers that refuse, abort and answer wrongly get everything in the end, once."""

from pathlib import Path

import pytest

from tests.support.campaign import count
from tests.support.listeners import HL7Listener
from tests.support.processes import role_processes
from tests.support.rude_pacs import RUDE_ANSWERS, RudePacs

pytestmark = pytest.mark.peers


def test_rude_peers_get_everything_once(tmp_path: Path) -> None:
    pacs, ris = RudePacs(tmp_path / "pacs", seed=5), HL7Listener(*RUDE_ANSWERS, "AA")
    names = ("receive", "work", "deliver")
    with role_processes(tmp_path, names, receivers=(pacs, ris)) as node:
        for _ in range(4):
            node.send()
        rude = len(RUDE_ANSWERS)
        tally = count(node, rude, 60)
    assert {"A700", "abort"} <= set(pacs.manners)
    assert (tally.lost, tally.doubled, tally.second_alerts) == (0, 0, 0), tally
