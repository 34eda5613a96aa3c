"""The table of `domain/work.py`, asked of real rows: each state, each event."""

import itertools

import pytest
from sqlalchemy import Engine, Table, update

from dicom_node.domain.errors import GiveUp, LeaseLost
from dicom_node.domain.work import TRANSITIONS, Event, Failure, State
from dicom_node.storage.database.schema import deliveries, jobs
from dicom_node.storage.database.transactions import transaction
from dicom_node.storage.queue.ledger import SqlLedger
from dicom_node.storage.queue.transitions import step
from tests.support.rows import ONE_JOB, arrival, claimed, column, finished, outcome


def force(engine: Engine, table: Table, state: State) -> None:
    """Put every row into `state`, with a holder, whatever it was."""
    with transaction(engine) as conn:
        held = {"worker": "w1", "lease_until": 2060.0}
        conn.execute(update(table).values(state=state.value, **held))


@pytest.mark.parametrize("table", [jobs, deliveries], ids=["jobs", "deliveries"])
def test_only_lawful_steps_move_a_row(table: Table, ledger: SqlLedger, engine: Engine) -> None:
    finished(ledger, kinds=("sr",))
    lawful = set()
    for state, event in itertools.product(State, Event):
        force(engine, table, state)
        with transaction(engine) as conn:
            moved = conn.execute(step(table, event)).rowcount
        (now,) = column(engine, table, "state")
        if moved:
            lawful.add((state, event))
            assert now == TRANSITIONS[state, event].value
        else:
            assert now == state.value
    assert lawful == set(TRANSITIONS)


@pytest.mark.parametrize("state", [state for state in State if state is not State.EXECUTING])
def test_what_is_not_executing_cannot_be_finished(
    state: State, ledger: SqlLedger, engine: Engine
) -> None:
    ledger.record(arrival(1), ONE_JOB)
    claim = claimed(ledger)
    force(engine, jobs, state)
    with pytest.raises(LeaseLost):
        ledger.finish_jobs(claim, outcome(1), 2001.0)
    with pytest.raises(LeaseLost):
        ledger.fail_jobs(claim, Failure(None, "no"), 2001.0)
    assert ledger.rescue(9e9) == 0
    assert column(engine, jobs, "state") == [state.value]


@pytest.mark.parametrize("state", [state for state in State if state is not State.AVAILABLE])
def test_what_is_not_available_is_not_claimed(
    state: State, ledger: SqlLedger, engine: Engine
) -> None:
    finished(ledger, kinds=("sr",))
    for table in (jobs, deliveries):
        force(engine, table, state)
    assert ledger.claim_jobs("w1", 9e9, 60.0) is None
    assert ledger.claim_deliveries("w1", 9e9, 60.0) is None
    assert column(engine, jobs, "state") == [state.value]


def test_the_database_refuses_an_unknown_state(ledger: SqlLedger, engine: Engine) -> None:
    ledger.record(arrival(1), ONE_JOB)
    with pytest.raises(GiveUp, match=r"(?i)check"), transaction(engine) as conn:
        conn.execute(update(jobs).values(state="asleep"))
