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
    Peer("safe", "SAFE", "10.0.0.8", tls=True),
    Peer("pinned", "PINNED", tls=True, tls_fingerprint="ab" * 32),
    Peer("moving", "MOVING", "10.0.0.1", tls=True, tls_fingerprint="ab" * 32),
    Peer("moving back", "MOVING", "10.0.0.1"),
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


PLAIN = Verdict(False, "peer must call over TLS")
OTHER = Verdict(False, "peer shows another certificate than the one of tls_fingerprint")


@pytest.mark.parametrize(
    ("caller", "verdict"),
    [
        (Caller("SAFE", "CXRAI", "10.0.0.8"), PLAIN),
        (Caller("SAFE", "CXRAI", "10.0.0.8", tls=True), SERVED),
        (Caller("SAFE", "CXRAI", "10.0.0.9", tls=True), ELSEWHERE),
        (Caller("XRAY", "CXRAI", "10.0.0.1", tls=True), SERVED),
        (Caller("PINNED", "CXRAI", "10.0.0.9"), PLAIN),
        (Caller("PINNED", "CXRAI", "10.0.0.9", tls=True), OTHER),
        (Caller("PINNED", "CXRAI", "10.0.0.9", tls=True, fingerprint="cd" * 32), OTHER),
        (Caller("PINNED", "CXRAI", "10.0.0.9", tls=True, fingerprint="ab" * 32), SERVED),
        (Caller("MOVING", "CXRAI", "10.0.0.1"), SERVED),
    ],
)
def test_how_a_peer_must_come(caller: Caller, verdict: Verdict) -> None:
    found = judge_caller(caller, PEERS, "reject", lambda name: ADDRESSES.get(name, ()))
    assert found == verdict


def test_an_approved_caller_is_served_but_is_no_other_peer() -> None:
    def judged(title: str, rule: UnknownCallers) -> Verdict:
        caller = Caller(title, "CXRAI", "10.0.0.77")
        return judge_caller(caller, PEERS, rule, lambda name: {name}, lambda one: True)

    assert judged("NEW", "learn") == judged("NEW", "reject") == SERVED
    assert judged("XRAY", "learn") == ELSEWHERE
    assert judged("PACS", "learn") == Verdict(False, "peer may not send")
