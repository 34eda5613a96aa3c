"""The acceptor's state table against PS3.8 table 9-10."""

import pytest
from pynetdicom.fsm import TRANSITION_TABLE

from dicom_node.network.dimse.upper_layer.state import ACTIONS, NEXT_STATE, Action, Event, State


def named(event: Event, state: State) -> str | None:
    action = ACTIONS.get((state, event))
    return None if action is None else action.name.replace("_", "-")


@pytest.mark.parametrize("event", list(Event))
@pytest.mark.parametrize("state", list(State))
def test_every_pair_is_as_another_implementation_has_it(event: Event, state: State) -> None:
    theirs = TRANSITION_TABLE.get((f"Evt{event.value}", f"Sta{state.value}"))
    assert named(event, state) == theirs


@pytest.mark.parametrize(
    ("action", "state"),
    [
        ("AE_5", 2), ("AE_6", 3), ("AE_7", 6), ("AE_8", 13), ("DT_1", 6), ("DT_2", 6),
        ("AR_2", 8), ("AR_4", 13), ("AR_5", 1), ("AR_7", 8), ("AA_1", 13), ("AA_2", 1),
        ("AA_3", 1), ("AA_4", 1), ("AA_5", 1), ("AA_6", 13), ("AA_7", 13), ("AA_8", 13),
    ],
)  # fmt: skip
def test_where_each_action_leads(action: str, state: int) -> None:
    assert NEXT_STATE[Action[action]] == state


def test_each_pdu_has_an_answer_in_each_state_that_has_a_connection() -> None:
    pdus = (3, 4, 6, 10, 12, 13, 16, 17, 19)
    for state in State:
        if state is not State.IDLE:
            assert all((state, Event(number)) in ACTIONS for number in pdus)
