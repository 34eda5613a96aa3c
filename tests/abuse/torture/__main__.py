"""Hurt the node in every way there is and count: `make torture`.

Prints a table, and with --write puts it into docs/it/faults.md between its marks. Ends with 1
if anything was lost, doubled or told twice, or a process died by itself.
"""

import argparse
import os
import random
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pydicom.filereader import read_file_meta_info
from sqlalchemy import select

from dicom_node.assembly.parts import opened_engine
from dicom_node.settings.settings import load_settings
from dicom_node.storage.database.schema import instances
from dicom_node.storage.status.status import take_snapshot
from tests.abuse.torture.mutants import mutants, whole_head
from tests.support.campaign import Tally, count, kill_at_random, two_hosts
from tests.support.listeners import HL7Listener, until
from tests.support.paths import ROOT, SHARED
from tests.support.postgres_server import postgres_server
from tests.support.processes import POINTS, RoleProcesses, crash_at, died, role_processes
from tests.support.raw_scu import Closed, RawSCU
from tests.support.rude_pacs import RUDE_ANSWERS, RudePacs

ROLES = ("receive", "work", "deliver")
HEAD = """\
| what | faults or inputs | images acknowledged | lost | doubled | second alerts | crashes | by |
|---|---|---|---|---|---|---|---|"""
TABLE = ROOT / "docs" / "it" / "faults.md"
BEGIN, END = "<!-- torture: begin -->", "<!-- torture: end -->"


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    command: str
    tally: Tally


def crash_points(folder: Path, _minutes: float) -> Tally:
    """Let every role die at every point, once each."""
    tried = [(role, point) for role, points in POINTS.items() for point in points]
    with role_processes(folder, ROLES) as node:
        for role, point in tried:
            environment = crash_at(folder, role, point)
            node.restart(role, environment)
            study = node.send()
            until(lambda: died(environment), f"{role} at {point}", 60)  # noqa: B023 - waits here
            node.wait_for(study)
        return count(node, len(tried), 180)


def random_kills(folder: Path, minutes: float) -> Tally:
    """Kill two receivers, four workers, two deliverers and once the database, at random."""
    roles, ports = two_hosts()
    with postgres_server(durable=True) as server:

        def restart() -> None:
            server.stop("immediate")
            server.start()

        with role_processes(folder, (), server.create("node"), extra=roles) as node:
            kills = kill_at_random(
                node, 60 * minutes, [None, *ports], every_s=3, seed=1, also=restart
            )
            return count(node, kills, 180)


def rude_peers(folder: Path, minutes: float) -> Tally:
    """Send to a PACS that refuses and aborts half of the time, and a RIS that fails first."""
    pacs, ris = RudePacs(folder / "pacs", seed=1), HL7Listener(*RUDE_ANSWERS * 8, "AA")
    with role_processes(folder, ROLES, receivers=(pacs, ris)) as node:
        for _ in range(max(4, int(10 * minutes))):
            node.send()
        tally = count(node, 0, 180)
        rude = sum(n for manner, n in pacs.manners.items() if manner != "stored")
        deaths = sum(role.deaths for role in node.roles)
        return replace(tally, faults=rude + 8 * len(RUDE_ANSWERS), crashes=deaths)


def bad_inputs(folder: Path, minutes: float) -> Tally:
    """Send damaged files: none may bring a process down or vanish once acknowledged."""
    with role_processes(folder, ROLES) as node:
        node.send()
        shared = sorted((SHARED / "data" / "dicom").rglob("*.dcm"))
        sources = [node.film, *filter(whole_head, shared)]
        dice = random.Random(1)  # noqa: S311 - a repeatable campaign
        tried = int(300 * minutes)
        damaged = mutants(sources, tried, dice)
        taken = [uid for content, uid, source in damaged if _taken(node, content, uid, source)]
        node.send()
        _drain(node)
        films = count(node, tried, 180)
        return replace(
            films,
            acknowledged=films.acknowledged + len(taken),
            lost=films.lost + len(set(taken) - _with_outcome(node)),
            crashes=sum(role.deaths for role in node.roles),
        )


def _taken(node: RoleProcesses, content: bytes, uid: str, source: Path) -> bool:
    """Send a damaged file; say whether the node acknowledged it."""
    meta = read_file_meta_info(source)
    classes = ((str(meta.MediaStorageSOPClassUID), (str(meta.TransferSyntaxUID),)),)
    port = load_settings(node.config).node.port
    try:
        with RawSCU(port, classes, calling=b"MODALITY") as scu:
            return scu.store(content, classes[0][0], uid).status == 0
    except (Closed, OSError):
        return False  # an abort is a fair answer


def _with_outcome(node: RoleProcesses) -> set[str]:
    """Give the images that were analysed, or not and are shown with the reason."""
    done = select(instances.c.sop_instance_uid).where(instances.c.outcome.is_not(None))
    with opened_engine(load_settings(node.config)) as engine, engine.connect() as conn:
        return set(conn.execute(done).scalars())


def _drain(node: RoleProcesses) -> None:
    """Wait until no job is left."""

    def idle() -> bool:
        with opened_engine(load_settings(node.config)) as engine:
            jobs = take_snapshot(engine, 0.0).jobs
        return not (jobs.available or jobs.executing)

    until(idle, "the last job", 300)


CAMPAIGNS: dict[str, tuple[str, Callable[[Path, float], Tally]]] = {
    "crash-points": ("a role dies between two durable writes", crash_points),
    "random-kills": ("8 roles on 2 hosts and Postgres killed at random", random_kills),
    "rude-peers": ("PACS refuses, aborts; RIS rejects, hangs up", rude_peers),
    "bad-inputs": ("damaged files sent", bad_inputs),
}


def main(arguments: list[str]) -> int:
    """Run the campaigns asked for and print the table."""
    parser = argparse.ArgumentParser(prog="tests.abuse.torture", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1, help="of random killing")
    parser.add_argument("--only", choices=CAMPAIGNS)
    parser.add_argument("--write", action="store_true", help="put the table into docs/it/faults.md")
    options = parser.parse_args(arguments)
    rows = list(_run(options.minutes, options.only))
    written = [_line(row) for row in rows]
    print(HEAD, *written, sep="\n")
    if options.write:
        _write(written)
    return int(any(_harm(row.tally) for row in rows))


def _harm(tally: Tally) -> int:
    return tally.lost + tally.doubled + tally.second_alerts + (tally.crashes or 0)


def _run(minutes: float, only: str | None) -> Iterator[Row]:
    for name, (what, campaign) in CAMPAIGNS.items():
        if only in (None, name):
            print(f"{name} ...", file=sys.stderr, flush=True)
            with tempfile.TemporaryDirectory() as folder:
                tally = campaign(Path(folder), minutes)
            command = f"make torture ONLY={name} MINUTES={minutes:g}"
            yield Row(what, command, tally)


def _line(row: Row) -> str:
    one = row.tally
    crashes = "" if one.crashes is None else one.crashes
    return (
        f"| {row.what} | {one.faults} | {one.acknowledged} | {one.lost} | {one.doubled} "
        f"| {one.second_alerts} | {crashes} | `{row.command}` |"
    )


def _write(written: list[str]) -> None:
    """Put these lines into the table, in place of those of the same campaigns."""
    before, _, rest = TABLE.read_text().partition(BEGIN)
    table, _, after = rest.partition(END)
    lines = {_campaign(line): line for line in (*table.splitlines(), *written)}
    known = [lines[name] for name in CAMPAIGNS if name in lines]
    TABLE.write_text("\n".join([before + BEGIN, HEAD, *known, END]) + after)


def _campaign(line: str) -> str:
    found = re.search("ONLY=([a-z-]+)", line)
    return found[1] if found else ""


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main(sys.argv[1:]))
