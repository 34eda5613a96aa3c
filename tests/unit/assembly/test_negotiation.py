"""A DICOMweb server that refuses classes gets plainer objects too, each once."""

from collections import Counter
from io import BytesIO

from pydicom import dcmread

from dicom_node.domain.exchange.substitution import SOP_CLASSES, SR_SOP_CLASSES
from dicom_node.storage.status.status import take_snapshot
from tests.support.node import MakeNode
from tests.support.stow_servers import Answer, Request, StowServer, answer_json

NODE = """
[[stow]]
name = "cloud"
url = "{url}"
sr_class = "comprehensive3d"
[[routes]]
name = "chest"
outputs = ["sr", "seg"]
send_to = ["cloud"]
"""
JSON = "application/dicom+json"


class Archive:
    """Stores some classes; the others fail with 0122, SOP class not supported (PS3.18 10.5.3)."""

    def __init__(self, *taken: str) -> None:
        self.taken = taken
        self.stored: Counter[str] = Counter()

    def __call__(self, request: Request) -> Answer:
        sent = [dcmread(BytesIO(part), stop_before_pixels=True) for part in request.parts]
        good = [str(ds.SOPInstanceUID) for ds in sent if ds.SOPClassUID in self.taken]
        bad = [(str(ds.SOPInstanceUID), 0x0122) for ds in sent if ds.SOPClassUID not in self.taken]
        self.stored.update(str(ds.SOPClassUID) for ds in sent if ds.SOPClassUID in self.taken)
        return 202 if good else 409, JSON, answer_json(good, bad)


def test_it_falls_down_the_ladder_by_the_answers_to_its_objects(make_node: MakeNode) -> None:
    archive = Archive(SR_SOP_CLASSES["enhanced"], SOP_CLASSES["sc"])
    with StowServer(archive) as server:
        node = make_node(NODE.format(url=server.destination().url))
        node.receive()
        node.settle()
        assert archive.stored == {SR_SOP_CLASSES["enhanced"]: 1, SOP_CLASSES["sc"]: 1}
        snapshot = take_snapshot(node.parts.engine, 0.0)
        replaced = {(one.wanted, one.sent) for one in snapshot.replaced}
        assert {("sr (comprehensive3d)", "sr (enhanced)"), ("seg", "sc")} <= replaced
        assert not snapshot.dead_letters


def test_one_that_takes_nothing_is_an_alarm_and_no_loop(make_node: MakeNode) -> None:
    with StowServer(Archive()) as server:
        node = make_node(NODE.format(url=server.destination().url))
        node.receive()
        assert node.settle() <= 12
        snapshot = take_snapshot(node.parts.engine, 0.0)
        assert [alarm.kind for alarm in snapshot.alarms] == ["delivery_discarded"]
        assert len(snapshot.dead_letters) >= 1
        assert node.settle() == 0
