"""Who is served, and who is remembered for a person to approve."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import structlog

from dicom_node.domain.errors import TryAgain
from dicom_node.domain.reception import (
    Caller,
    UnknownCallers,
    judge_caller,
)
from dicom_node.domain.study import Peer
from dicom_node.process.throttle import Throttle

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class CallerPolicy:
    """What deciding about callers needs."""

    peers: tuple[Peer, ...]
    unknown_callers: UnknownCallers
    addresses_of: Callable[[str], Collection[str]]
    """Resolves a host name; gives nothing for one that is not known."""
    remember: Callable[[str, str, float], None]
    """Keeps title and address of an unknown caller for a person to approve."""
    is_approved: Callable[[str, str], bool] = lambda _ae, _host: False
    """Says whether a person approved of title and address; raises TryAgain."""
    alert: Callable[[Caller, str], None] = lambda _caller, _reason: None
    """Tells the audit trail of a caller who is not served; never raises."""
    throttle: Throttle = field(default_factory=Throttle)
    """Bounds what is written about one host that is refused again and again."""


def admit_caller(caller: Caller, caller_policy: CallerPolicy, now: float) -> bool:
    """Say whether the caller is served; remember an unknown one if asked to."""
    bound = log.bind(calling_ae=caller.calling_ae, host=caller.host)
    try:
        verdict = judge_caller(
            caller,
            caller_policy.peers,
            caller_policy.unknown_callers,
            caller_policy.addresses_of,
            lambda asking: caller_policy.is_approved(asking.calling_ae, asking.host),
        )
    except TryAgain as error:
        bound.error("caller_not_looked_up", reason=str(error))
        return False
    if verdict.served:
        return True
    kept_back = caller_policy.throttle.admit(caller.host)
    if kept_back is None:
        return False
    if kept_back:
        bound = bound.bind(kept_back=kept_back)
    bound.warning("caller_refused", reason=verdict.reason)
    caller_policy.alert(caller, verdict.reason)
    if verdict.learn:
        try:
            caller_policy.remember(caller.calling_ae, caller.host, now)
        except TryAgain as error:
            bound.error("caller_not_remembered", reason=str(error))
    return False
