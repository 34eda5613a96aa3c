"""The upper layer of an association acceptor (PS3.8): bytes in, events out.

No socket, no thread and no clock: `connection` is fed with what a transport brings and
gives what is to be sent, `negotiation` says what is accepted.
"""
