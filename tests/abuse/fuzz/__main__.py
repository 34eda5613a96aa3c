"""Feeds targets with damaged input: `python -m tests.abuse.fuzz --help`.

Run in a process of its own, since decoders in C may take it down. What is being
fed lies in `--last`, so that nothing is lost with the process.
"""

import argparse
import faulthandler
import random
import resource
import signal
import sys
import time
from io import FileIO
from pathlib import Path

from tests.abuse.fuzz.targets import TARGETS, Target
from tests.support.mutations import mutated

HANG_S = 20
"""No input may take longer, and on an idle machine none comes near."""
MEMORY = 1 << 30
"""Bytes that the targets may take beside what the process holds at the start."""


class Hang(BaseException):
    """An input takes too long; not an Exception, which the code may catch."""


def main() -> int:
    """Feed each target for its share of the time; the exit status is 1 for a finding."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", help="all by default")
    parser.add_argument("--seconds", type=float, default=10, help="for each target")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--last", type=Path, default=Path("build/fuzz/last"))
    wanted = parser.parse_args()
    wanted.last.parent.mkdir(parents=True, exist_ok=True)
    chosen = [one for one in TARGETS if not wanted.targets or one.name in wanted.targets]
    for target in chosen:
        target.seeds()
    _limit()
    with wanted.last.open("wb", buffering=0) as last:
        clean = all(_fed_for(target, wanted.seconds, wanted.seed, last) for target in chosen)
    if clean:
        wanted.last.unlink()
    return 0 if clean else 1


def _fed_for(target: Target, seconds: float, seed: int, last: FileIO) -> bool:
    """Feed a target for a while; say whether nothing was found."""
    choice = random.Random(f"{seed} {target.name}")  # noqa: S311 - no secret
    # C code that does not return; starting the watch for each input would take longer than it
    faulthandler.dump_traceback_later(seconds + 3 * HANG_S, exit=True)
    began, count = time.monotonic(), 0
    while time.monotonic() - began < seconds:
        content = mutated(target.seeds(), target.tokens, choice)
        last.seek(0)
        last.truncate(last.write(content))
        count += 1
        if not fed(target, content):
            return False
    sys.stdout.write(f"{target.name}\t{count}\n")
    sys.stdout.flush()
    return True


def fed(target: Target, content: bytes) -> bool:
    """Feed one input; say whether nothing was found."""
    signal.setitimer(signal.ITIMER_REAL, HANG_S)
    try:
        target.feed(content)
    except (Exception, Hang) as error:  # noqa: BLE001 - whatever comes out is a finding
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.stdout.write(f"{target.name}: {type(error).__name__}\n")
        sys.excepthook(type(error), error, error.__traceback__)
        return False
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return True


def _limit() -> None:
    faulthandler.enable()
    signal.signal(signal.SIGALRM, _hang)
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY, resource.RLIM_INFINITY))


def _hang(number: int, frame: object) -> None:
    raise Hang(f"longer than {HANG_S} s")


if __name__ == "__main__":
    sys.exit(main())
