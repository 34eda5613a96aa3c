"""The roles ask and hear by themselves, with results that the node made."""

import threading
from pathlib import Path

from dicom_node.roles.deliver import run as run_deliver
from tests.support.committing_node import committing_node, receiving
from tests.support.committing_pacs import call, pacs, report
from tests.support.listeners import until


def test_results_are_committed_without_a_hand(tmp_path: Path) -> None:
    with pacs() as running, committing_node(tmp_path, running.port) as made, receiving(made):
        uid, stop = made.make(), threading.Event()
        role = threading.Thread(target=run_deliver, args=(made.parts.settings, stop))
        role.start()
        try:
            until(lambda: bool(running.requests), "a request", 60)
            transaction_uid, asked = running.asked()
            assert (running.stored, asked) == ([uid], [uid])
            # the association of the request may be open still
            assert call(made.port, report(transaction_uid, [uid])) == 0x0000
            assert made.states() == ["committed"]
        finally:
            stop.set()
            role.join(60)
    assert not role.is_alive()
