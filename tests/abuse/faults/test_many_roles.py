"""Many roles on several hosts, killed at random: nothing lost, nothing twice."""

from pathlib import Path

import pytest

from tests.support.campaign import count, kill_at_random, two_hosts
from tests.support.postgres_server import postgres_server
from tests.support.processes import role_processes

pytestmark = [pytest.mark.peers, pytest.mark.postgres]


def test_random_kills_on_postgres_lose_and_double_nothing(tmp_path: Path) -> None:
    roles, ports = two_hosts()
    with postgres_server(durable=True) as server:

        def restart() -> None:
            server.stop("immediate")  # as a power cut: connections break, it recovers
            server.start()

        with role_processes(tmp_path, (), server.create("node"), extra=roles) as node:
            kills = kill_at_random(node, 20, [None, *ports], every_s=3, seed=6, also=restart)
            tally = count(node, kills, 300)
    assert tally.faults >= 4
    assert tally.acknowledged >= 4
    assert (tally.lost, tally.doubled, tally.second_alerts) == (0, 0, 0), tally
