"""Several threads and processes on one database: nothing twice, nothing lost."""

import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sqlalchemy import Engine

from dicom_node.domain.errors import LeaseLost
from dicom_node.domain.work import Acknowledgement, Recorded
from dicom_node.storage.database.migrations.runner import HEAD
from dicom_node.storage.database.schema import deliveries, instances, jobs
from dicom_node.storage.queue.ledger import SqlLedger
from tests.support.rows import TWO_JOBS, arrival, column, outcome, rows

THREADS = 8
INSTANCES = 24

WORKER = """
import sys
from dicom_node.storage.database.engine import open_database
from dicom_node.storage.queue.ledger import SqlLedger
from dicom_node.domain.work import Outcome
ledger = SqlLedger(open_database(sys.argv[1]))
for _ in range(100):
    claim = ledger.claim_jobs(sys.argv[2], 2000.0, 60.0)
    if claim is None:
        break
    print(claim.instance_id, [job.id for job in claim.jobs])
    ledger.finish_jobs(claim, Outcome((), (), ()), 2001.0)
"""


def together(turn: Callable[[int], list[int]]) -> list[int]:
    """Run `turn` in all threads at once and join what they give."""
    start = threading.Barrier(THREADS)

    def begin(number: int) -> list[int]:
        start.wait(timeout=30)
        return turn(number)

    with ThreadPoolExecutor(THREADS) as pool:
        return [one for taken in pool.map(begin, range(THREADS)) for one in taken]


def test_no_instance_is_claimed_twice(ledger: SqlLedger, engine: Engine) -> None:
    for number in range(INSTANCES):
        ledger.record(arrival(number), TWO_JOBS)

    def work(number: int) -> list[int]:
        taken = []
        for _ in range(INSTANCES + 20):
            claim = ledger.claim_jobs(f"w{number}", 2000.0, 60.0)
            if claim is None:
                break
            assert len(claim.jobs) == 2  # never one worker each
            taken.append(claim.instance_id)
            name = int(claim.arrival.instance.ref.sop_instance_uid.rpartition(".")[2])
            ledger.finish_jobs(claim, outcome(name, kinds=("seg", "sr")), 2001.0)
        return taken

    taken = together(work)
    assert Counter(taken) == Counter(column(engine, instances, "id"))
    assert set(column(engine, jobs, "state")) == {"completed"}
    assert set(column(engine, jobs, "attempt")) == {1}
    assert len(rows(engine, deliveries)) == 2 * INSTANCES

    def send(number: int) -> list[int]:
        sent = []
        for _ in range(2 * INSTANCES + 20):
            batch = ledger.claim_deliveries(f"d{number}", 3000.0, 60.0)
            if batch is None:
                break
            ids = [delivery.id for delivery in batch.deliveries]
            arrived = tuple(Acknowledgement(delivery_id, f"d{number}") for delivery_id in ids)
            ledger.finish_deliveries(batch, arrived, (), 3001.0)
            sent += ids
        return sent

    assert Counter(together(send)) == Counter(column(engine, deliveries, "id"))
    assert set(column(engine, deliveries, "attempt")) == {1}


def test_the_same_instance_from_all_sides_is_new_once(ledger: SqlLedger, engine: Engine) -> None:
    found: list[Recorded] = []

    def receive(_number: int) -> list[int]:
        found.extend(ledger.record(arrival(number), TWO_JOBS) for number in range(5))
        return []

    together(receive)
    assert Counter(found) == {Recorded.NEW: 5, Recorded.SAME: 5 * (THREADS - 1)}
    assert len(rows(engine, jobs)) == 10


def test_only_one_of_two_contents_is_new(ledger: SqlLedger, engine: Engine) -> None:
    found: list[Recorded] = []

    def receive(number: int) -> list[int]:
        found.append(ledger.record(arrival(1, content=f"{number % 2:x}"), TWO_JOBS))
        return []

    together(receive)
    half = THREADS // 2
    assert Counter(found) == {
        Recorded.NEW: 1,
        Recorded.SAME: half - 1,
        Recorded.CONFLICT: half,
    }
    assert len(rows(engine, instances)) == 1


def test_a_claim_is_finished_or_rescued_never_both(ledger: SqlLedger, engine: Engine) -> None:
    for number in range(THREADS):
        ledger.record(arrival(number), TWO_JOBS)
    claims = [ledger.claim_jobs("w", 2000.0, 60.0) for _ in range(THREADS)]

    def race(number: int) -> list[int]:
        claim = claims[number]
        assert claim is not None
        if number % 2:
            ledger.rescue(2061.0)
        try:
            ledger.finish_jobs(claim, outcome(number), 2061.0)
        except LeaseLost:
            return []
        return [claim.instance_id]

    done = together(race)
    states = {row["instance_id"]: row["state"] for row in rows(engine, jobs)}
    assert {number for number, state in states.items() if state == "completed"} == set(done)
    assert set(states.values()) <= {"completed", "available"}


def test_processes_share_the_work(url: str, ledger: SqlLedger, engine: Engine) -> None:
    for number in range(INSTANCES):
        ledger.record(arrival(number), TWO_JOBS)
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, url, f"w{number}"], stdout=subprocess.PIPE, text=True
        )
        for number in range(2)
    ]
    printed = "".join(worker.communicate(timeout=60)[0] for worker in workers).splitlines()
    assert [worker.returncode for worker in workers] == [0, 0]
    assert len(printed) == len(set(printed)) == INSTANCES
    assert set(column(engine, jobs, "state")) == {"completed"}


OPEN = """
import sys
from dicom_node.storage.database.engine import open_database, migrate
print(migrate(open_database(sys.argv[1])))
"""


def test_processes_may_create_the_database_together(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/var/deep/node.db"
    started = [
        subprocess.Popen([sys.executable, "-c", OPEN, url], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    printed = [process.communicate(timeout=60)[0] for process in started]
    assert [process.returncode for process in started] == [0] * 4
    # the lock is taken for each step, so they may share the steps; none is done twice
    assert sum(int(steps) for steps in printed) == HEAD
