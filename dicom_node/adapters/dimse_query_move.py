"""Fetching by C-MOVE: the image comes to the node's own receiver."""

from collections.abc import Callable

from pynetdicom.presentation import build_context

from dicom_node.adapters.dimse_line import Line, Target
from dicom_node.adapters.dimse_query import (
    QUERY_SYNTAXES,
    QueryOrigin,
    Terms,
    identify,
    require_context,
)
from dicom_node.adapters.dimse_query_answers import judge_absence
from dicom_node.domain.retrieval import FoundImage

STUDY_ROOT_MOVE = "1.2.840.10008.5.1.4.1.2.2.2"


class MoveOrigin(QueryOrigin):
    """A peer that is asked by C-FIND and told by C-MOVE to send to us (PS3.4 C.4.2)."""

    def __init__(self, target: Target, arrived: Callable[[str], bool]) -> None:
        move = build_context(STUDY_ROOT_MOVE, QUERY_SYNTAXES)
        super().__init__(target, Terms((move,), prepare=_prepare))
        self._arrived = arrived

    def fetch(self, image: FoundImage) -> str:
        """Have the image sent to our AE title; says how, in words."""
        status = self.query.retrieve(
            lambda assoc: assoc.send_c_move(
                identify(image), self.query.target.our_ae, STUDY_ROOT_MOVE
            )
        )
        # the receiver commits the row before it answers the peer, which answers us last
        if self._arrived(image.sop_instance_uid):
            return "C-MOVE: received"
        raise judge_absence("C-MOVE", status)


def _prepare(line: Line) -> None:
    require_context(line, STUDY_ROOT_MOVE, "C-MOVE (study root)")
