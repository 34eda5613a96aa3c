"""Who may send."""

import pytest

from dicom_node.domain.reception import Caller, UnknownCallers, Verdict, judge_caller
from dicom_node.domain.study import Peer

PEERS = (
    Peer("room1", "XRAY", "10.0.0.1"),
    Peer("room2", "XRAY", "room2"),
    Peer("mobile", "MOBILE"),
    Peer("archive", "PACS", "10.0.0.9", 104, may_send=False),
    Peer("archive again", "BOTH", "10.0.0.9", may_send=False),
    Peer("sender", "BOTH", "10.0.0.8"),
)
ADDRESSES = {"10.0.0.1": {"10.0.0.1"}, "room2": {"10.0.0.2", "fd00::2"}, "10.0.0.8": {"10.0.0.8"}}
SERVED = Verdict(served=True)
UNKNOWN = Verdict(False, "unknown calling AE title")
ELSEWHERE = Verdict(False, "known AE title from another host")


@pytest.mark.parametrize(
    ("title", "host", "rule", "verdict"),
    [
        ("XRAY", "10.0.0.1", "reject", SERVED),
        ("XRAY", "fd00::2", "reject", SERVED),
        ("XRAY", "10.0.0.3", "reject", ELSEWHERE),
        ("XRAY", "10.0.0.3", "accept", ELSEWHERE),
        ("XRAY", "10.0.0.3", "learn", ELSEWHERE),
        ("MOBILE", "192.0.2.7", "reject", SERVED),
        ("PACS", "10.0.0.9", "accept", Verdict(False, "peer may not send")),
        ("BOTH", "10.0.0.8", "reject", SERVED),
        ("BOTH", "10.0.0.9", "reject", ELSEWHERE),
        ("xray", "10.0.0.1", "reject", UNKNOWN),
        ("", "10.0.0.1", "reject", UNKNOWN),
        ("OTHER", "10.0.0.1", "accept", SERVED),
        ("OTHER", "10.0.0.1", "learn", Verdict(False, "unknown calling AE title", learn=True)),
    ],
)
def test_who_may_send(title: str, host: str, rule: UnknownCallers, verdict: Verdict) -> None:
    caller = Caller(title, "CXRAI", host)
    found = judge_caller(caller, PEERS, rule, lambda name: ADDRESSES.get(name, ()))
    assert found == verdict
