"""Storage commitment by Orthanc, which reports on an association of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.committing_node import committing_node, receiving
from tests.support.listeners import Orthanc, free_port, until

pytestmark = pytest.mark.peers


@pytest.fixture(scope="module")
def orthanc() -> Iterator[tuple[Orthanc, int]]:
    """Orthanc, and the port at which it will call the node."""
    port = free_port()
    with Orthanc(modalities={"node": ("CXRAI", port)}) as running:
        yield running, port


def test_orthanc_commits_and_tells_what_is_missing(
    orthanc: tuple[Orthanc, int], tmp_path: Path
) -> None:
    server, port = orthanc
    with (
        committing_node(tmp_path, server.dicom_port, ae_title="ORTHANC", node_port=port) as made,
        receiving(made),
    ):
        kept, lost = made.make(), made.make()
        while made.deliver_now():
            pass
        found = {
            server.rest(f"/instances/{one}/tags?simplify")["SOPInstanceUID"]: one
            for one in server.rest("/instances")
        }
        assert set(found) == {kept, lost}
        server.content(f"/instances/{found[lost]}", method="DELETE")
        made.ask()
        until(lambda: "asked" not in made.states(), "Orthanc's report")
        assert made.states() == ["committed", "sending"]
        assert made.values("words")[1] == "not committed: 0x0112 no such object instance"
        assert made.deliver_now() == 1
        made.ask()
        until(lambda: made.states() == ["committed"] * 2, "Orthanc's second report")
        assert len(server.rest("/instances")) == 2
