"""Errors, named by what the caller does next.

NodeError
├── Refused        answer a DIMSE failure status; nothing was accepted
├── TryAgain       a passing fault: repeat later, with growing pauses
│   ├── Away       what all work needs is away: repeat until it is back
│   └── NotUnderstood  the other side answers, and not in its protocol: tell a person
├── GiveUp         a permanent fault: stop, keep it, show it to a person
│   └── NotTaken   the destination does not take this kind of object: send a plainer one
├── NotAnalysable  the image is safe but cannot be read: outcome "not analysed: <reason>"
└── BadSettings    configuration or usage: exit 2 with one clear line
"""


class NodeError(Exception):
    """Every error that the node raises on purpose."""


class Refused(NodeError):
    """Answer a DIMSE failure; the sender keeps its copy.

    `status` is a C-STORE status (PS3.4 B.2.3, PS3.7 C); `comment` goes into
    ErrorComment (0000,0902), so at most 64 characters and no patient data.
    """

    def __init__(self, status: int, comment: str) -> None:
        super().__init__(f"0x{status:04X} {comment}")
        self.status = status
        self.comment = comment[:64]


class TryAgain(NodeError):
    """A passing fault: the same work may succeed later."""


class Away(TryAgain):
    """What all work needs is away, and no job is to blame: repeat until it is back."""


class NotUnderstood(TryAgain):
    """An answer that is none of its protocol; the message tells its shape, no content."""


class GiveUp(NodeError):
    """A permanent fault: repeating cannot help, a person must look."""


class NotTaken(GiveUp):
    """The destination does not take this kind of object; a plainer one may do."""


class LeaseLost(NodeError):
    """Another worker owns this work now: drop what was made, write nothing."""


class NotAnalysable(NodeError):
    """The image cannot be read; `str(error)` is the reason in words."""


class BadSettings(NodeError):
    """Configuration or usage is wrong; the message names file, key and remedy."""


def speakable(error: Exception) -> str:
    """Give the error's text if it may stand in a log.

    The text of an unforeseen error may quote a value of the data set, so a patient.
    """
    return str(error) if isinstance(error, NodeError | OSError) else ""
