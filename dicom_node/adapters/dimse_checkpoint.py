"""Keeps pynetdicom from taking an answer away from the one who waits for it.

Its association has a thread that serves requests of the peer, and stops it before each
question. In 3.0.4 the thread says that it stands still, looks whether it must, and goes
on; one that is held up right there takes the first answer and drops it ("Received
unexpected C-FIND service message"): a match that the PACS has and nobody sees.
"""

import threading

from pynetdicom.association import Association

THREAD_GONE_S = 0.1
"""How often to look whether the thread has ended instead of stopping."""


class Checkpoint(threading.Event):
    """An event whose `clear` comes back only when the thread waits for `set`."""

    def __init__(self, reactor: threading.Thread) -> None:
        super().__init__()
        self._reactor = reactor
        self._changed = threading.Condition()
        self._open = True
        self._stopped = False

    def is_set(self) -> bool:
        """Whether the thread may go on."""
        return self._open

    def set(self) -> None:
        """Let the thread go on."""
        with self._changed:
            self._open, self._stopped = True, False
            self._changed.notify_all()

    def clear(self) -> None:
        """Stop the thread and wait until it stands, has ended, or is let go again."""
        with self._changed:
            self._open = False
            while not (self._open or self._stopped) and self._others_run():
                self._changed.wait(THREAD_GONE_S)

    def wait(self, timeout: float | None = None) -> bool:
        """Stand still while it is closed; called by the thread."""
        with self._changed:
            while not self._open:
                self._stopped = True
                self._changed.notify_all()
                if not self._changed.wait(timeout):
                    break
            return self._open

    def _others_run(self) -> bool:
        return self._reactor.is_alive() and self._reactor is not threading.current_thread()


def guard_answers(assoc: Association) -> None:
    """Give an association that we opened a checkpoint that holds."""
    assoc._reactor_checkpoint = Checkpoint(assoc)
