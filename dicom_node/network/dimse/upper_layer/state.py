"""The state table of an association acceptor (PS3.8 table 9-10).

The columns and rows that a requestor alone comes to are left out: requests are made by
pynetdicom. ARTIM, the timer of Sta2 and Sta13, belongs to whoever holds the connection.
"""

from enum import Enum, IntEnum


class State(IntEnum):
    """Where an association is (PS3.8 9.2.1)."""

    IDLE = 1
    AWAITING_REQUEST = 2
    AWAITING_RESPONSE = 3
    """The request is complete; our side has not answered it."""
    ESTABLISHED = 6
    AWAITING_RELEASE_RESPONSE = 8
    """The peer asked for a release; our side has not answered it."""
    AWAITING_CLOSE = 13


class Event(IntEnum):
    """What may happen to an association (PS3.8 9.2.2); PDUs are those of the peer."""

    ASSOCIATE_AC = 3
    ASSOCIATE_RJ = 4
    CONNECTED = 5
    ASSOCIATE_RQ = 6
    ACCEPT = 7
    REJECT = 8
    SEND_DATA = 9
    P_DATA_TF = 10
    RELEASE_RQ = 12
    RELEASE_RP = 13
    RELEASE = 14
    ABORT = 15
    ABORT_PDU = 16
    CLOSED = 17
    ARTIM_EXPIRED = 18
    INVALID_PDU = 19


class Action(Enum):
    """What is done then (PS3.8 9.2.3)."""

    AE_5 = "start ARTIM"
    AE_6 = "indicate the request"
    AE_7 = "send A-ASSOCIATE-AC"
    AE_8 = "send A-ASSOCIATE-RJ and start ARTIM"
    DT_1 = "send P-DATA-TF"
    DT_2 = "indicate data"
    AR_2 = "indicate the release"
    AR_4 = "send A-RELEASE-RP and start ARTIM"
    AR_5 = "stop ARTIM"
    AR_7 = "send P-DATA-TF before the release"
    AA_1 = "send A-ABORT and start ARTIM"
    AA_2 = "close the connection"
    AA_3 = "indicate the abort and close the connection"
    AA_4 = "indicate the loss of the connection"
    AA_5 = "stop ARTIM before a request has come"
    AA_6 = "ignore"
    AA_7 = "send A-ABORT again"
    AA_8 = "send A-ABORT, indicate it and start ARTIM"


_S, _A = State, Action

NEXT_STATE: dict[Action, State] = {
    _A.AE_5: _S.AWAITING_REQUEST,
    _A.AE_6: _S.AWAITING_RESPONSE,
    _A.AE_7: _S.ESTABLISHED,
    _A.AE_8: _S.AWAITING_CLOSE,
    _A.DT_1: _S.ESTABLISHED,
    _A.DT_2: _S.ESTABLISHED,
    _A.AR_2: _S.AWAITING_RELEASE_RESPONSE,
    _A.AR_4: _S.AWAITING_CLOSE,
    _A.AR_5: _S.IDLE,
    _A.AR_7: _S.AWAITING_RELEASE_RESPONSE,
    _A.AA_1: _S.AWAITING_CLOSE,
    _A.AA_2: _S.IDLE,
    _A.AA_3: _S.IDLE,
    _A.AA_4: _S.IDLE,
    _A.AA_5: _S.IDLE,
    _A.AA_6: _S.AWAITING_CLOSE,
    _A.AA_7: _S.AWAITING_CLOSE,
    _A.AA_8: _S.AWAITING_CLOSE,
}
"""Where an action leads; for an acceptor each leads to one state."""

_COLUMNS = (
    _S.AWAITING_REQUEST,
    _S.AWAITING_RESPONSE,
    _S.ESTABLISHED,
    _S.AWAITING_RELEASE_RESPONSE,
    _S.AWAITING_CLOSE,
)
_ROWS: dict[Event, tuple[Action | None, ...]] = {
    Event.ASSOCIATE_AC: (_A.AA_1, _A.AA_8, _A.AA_8, _A.AA_8, _A.AA_6),
    Event.ASSOCIATE_RJ: (_A.AA_1, _A.AA_8, _A.AA_8, _A.AA_8, _A.AA_6),
    Event.ASSOCIATE_RQ: (_A.AE_6, _A.AA_8, _A.AA_8, _A.AA_8, _A.AA_7),
    Event.ACCEPT: (None, _A.AE_7, None, None, None),
    Event.REJECT: (None, _A.AE_8, None, None, None),
    Event.SEND_DATA: (None, None, _A.DT_1, _A.AR_7, None),
    Event.P_DATA_TF: (_A.AA_1, _A.AA_8, _A.DT_2, _A.AA_8, _A.AA_6),
    Event.RELEASE_RQ: (_A.AA_1, _A.AA_8, _A.AR_2, _A.AA_8, _A.AA_6),
    Event.RELEASE_RP: (_A.AA_1, _A.AA_8, _A.AA_8, _A.AA_8, _A.AA_6),
    Event.RELEASE: (None, None, None, _A.AR_4, None),
    Event.ABORT: (None, _A.AA_1, _A.AA_1, _A.AA_1, None),
    Event.ABORT_PDU: (_A.AA_2, _A.AA_3, _A.AA_3, _A.AA_3, _A.AA_2),
    Event.CLOSED: (_A.AA_5, _A.AA_4, _A.AA_4, _A.AA_4, _A.AR_5),
    Event.ARTIM_EXPIRED: (_A.AA_2, None, None, None, _A.AA_2),
    Event.INVALID_PDU: (_A.AA_1, _A.AA_8, _A.AA_8, _A.AA_8, _A.AA_7),
}

ACTIONS: dict[tuple[State, Event], Action] = {
    (_S.IDLE, Event.CONNECTED): _A.AE_5,
    **{
        (state, event): action
        for event, row in _ROWS.items()
        for state, action in zip(_COLUMNS, row, strict=True)
        if action is not None
    },
}
"""What is done on an event; a pair that is missing cannot happen, or is our own fault."""
