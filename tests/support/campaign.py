"""Kill at random under load, then count what became of every acknowledged film."""

import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.support.listeners import free_port, until
from tests.support.processes import OBJECTS, Role, RoleProcesses

FILMS = 6


@dataclass(frozen=True)
class Tally:
    """What a campaign did and what it found."""

    faults: int
    acknowledged: int
    lost: int
    doubled: int
    second_alerts: int
    crashes: int | None = None
    """Processes that died unasked; None where dying is the campaign."""


def two_hosts() -> tuple[list[Role], list[int]]:
    """Two receivers, four workers and two deliverers whose clocks differ by minutes.

    Gives the roles and the second receiver's port; the first has the file's.
    """
    port = free_port()
    second = {"DICOM_NODE__NODE__PORT": str(port), "CLOCK_OFFSET_S": "240"}
    nowhere = Path()
    roles = [
        Role("receive-1", nowhere, "receive"),
        Role("receive-2", nowhere, "receive", second),
        *(
            Role(f"work-{n}", nowhere, "work", {"CLOCK_OFFSET_S": str(offset_s)})
            for n, offset_s in enumerate((0, 0, 240, -180))
        ),
        Role("deliver-1", nowhere, "deliver"),
        Role("deliver-2", nowhere, "deliver", {"CLOCK_OFFSET_S": "240"}),
    ]
    return roles, [port]


def kill_at_random(
    node: RoleProcesses,
    seconds: float,
    ports: Sequence[int | None],
    *,
    every_s: float,
    seed: int,
    also: Callable[[], None] | None = None,
) -> int:
    """Send films to all ports while killing roles; say how often something was killed.

    `also` is done once, halfway. A slow machine takes longer: at least `FILMS` films.
    """
    dice, ended = random.Random(seed), threading.Event()  # noqa: S311 - a repeatable campaign
    failures: list[BaseException] = []

    def send(port: int | None) -> None:
        try:
            while not ended.is_set():
                node.send(port)
                ended.wait(0.4)
        except BaseException as error:
            failures.append(error)
            raise

    senders = [threading.Thread(target=send, args=(port,)) for port in ports]
    for sender in senders:
        sender.start()
    started, kills = time.monotonic(), 0
    while (spent := time.monotonic() - started) < seconds or len(node.sent) < FILMS:
        assert spent < 10 * seconds, f"only {len(node.sent)} films in {spent:.0f} s"
        time.sleep(every_s * dice.uniform(0.5, 1.5))
        if also is not None and spent > seconds / 2:
            also()
            also, kills = None, kills + 1
        victim = dice.choice(node.roles).process
        if victim is not None and victim.poll() is None:
            victim.kill()
            kills += 1
    ended.set()
    for sender in senders:
        sender.join()
    assert not failures, failures
    return kills


def count(node: RoleProcesses, faults: int, timeout_s: float) -> Tally:
    """Wait until every film has its results, or the time is up, and count."""

    def settled() -> bool:
        return all(found == OBJECTS for found in node.arrivals().values()) and all(
            map(node.alerts, node.sent)
        )

    with suppress(TimeoutError):  # what is missing is counted below
        until(settled, "all results", timeout_s)
    time.sleep(2)  # long enough for what would come a second time
    found = node.arrivals().values()
    return Tally(
        faults,
        len(node.sent),
        sum(any(one[kind] < n for kind, n in OBJECTS.items()) for one in found),
        sum(any(n > OBJECTS.get(kind, 0) for kind, n in one.items()) for one in found),
        sum(len(node.alerts(uid)) > 1 for uid in node.sent),
    )
