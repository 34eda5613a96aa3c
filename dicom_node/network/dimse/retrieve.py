"""Fetching by C-GET: the image comes over our own association."""

from collections.abc import Callable
from typing import cast

from pynetdicom import evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.events import Event
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import build_context, build_role

from dicom_node.domain.errors import BadSettings, GiveUp, NodeError, Refused
from dicom_node.domain.exchange.retrieval import FoundImage, refused_here
from dicom_node.domain.reception import (
    CONFLICT,
    PROCESSING_FAILURE,
    SUCCESS,
    Caller,
    StoreRequest,
)
from dicom_node.domain.work import Recorded
from dicom_node.formats.dicom.attributes import clean
from dicom_node.formats.dicom.file_meta import file_head
from dicom_node.network.dimse.answers import judge_absence
from dicom_node.network.dimse.association import OutgoingAssociation, Target
from dicom_node.network.dimse.options import IMAGE_CLASSES, IMAGE_SYNTAXES
from dicom_node.network.dimse.query import (
    QUERY_SYNTAXES,
    QueryOrigin,
    Terms,
    identify,
    require_context,
)
from dicom_node.network.hosts import canonical

STUDY_ROOT_GET = "1.2.840.10008.5.1.4.1.2.2.3"


class GetOrigin(QueryOrigin):
    """A peer that is asked by C-FIND and sends by C-GET (PS3.4 C.4.3)."""

    def __init__(self, target: Target, store: Callable[[StoreRequest], Recorded]) -> None:
        super().__init__(target, _terms(self._prepare))
        self._store = store
        self._outcomes: dict[str, Recorded | NodeError] = {}

    def fetch(self, image: FoundImage) -> str:
        """Have the image sent and stored; says how, in words."""
        self._outcomes.clear()
        status = self.query.retrieve(
            lambda assoc: assoc.send_c_get(identify(image), STUDY_ROOT_GET)
        )
        outcome = self._outcomes.get(image.sop_instance_uid)
        if isinstance(outcome, Recorded):
            return f"C-GET: {outcome.value}"
        if outcome is not None:
            raise outcome
        raise judge_absence("C-GET", status)

    def _prepare(self, line: OutgoingAssociation) -> None:
        require_context(line, STUDY_ROOT_GET, "C-GET (study root); try --move, or allow it there")
        if not any(context.as_scp for context in line.assoc.accepted_contexts):
            raise BadSettings(
                f"{self.ae_title} takes no SCP role for images (PS3.7 D.3.3.4): C-GET cannot "
                "work; try --move"
            )
        line.assoc.bind(evt.EVT_C_STORE, self._arrived)

    def _arrived(self, event: Event) -> int:
        """Store one sub-operation's image; gives the status to answer."""
        request = self._request(event)
        uid = request.sop_instance_uid
        try:
            self._outcomes[uid] = self._store(request)
        except Refused as refusal:
            self._outcomes[uid] = refused_here("C-GET", refusal)
            return refusal.status
        except Exception as error:  # noqa: BLE001 - the handler's edge: the answer must go out
            self._outcomes[uid] = GiveUp(f"C-GET: {type(error).__name__} while storing")
            return PROCESSING_FAILURE
        return CONFLICT if self._outcomes[uid] is Recorded.CONFLICT else SUCCESS

    def _request(self, event: Event) -> StoreRequest:
        context, command = event.context, cast(C_STORE, event.request)
        class_uid = clean(str(command.AffectedSOPClassUID or ""))
        instance_uid = clean(str(command.AffectedSOPInstanceUID or ""))
        syntax, target = str(context.transfer_syntax), self.query.target
        return StoreRequest(
            caller=Caller(self.ae_title, target.our_ae, canonical(target.peer.host)),
            context_class_uid=str(context.abstract_syntax),
            sop_class_uid=class_uid,
            sop_instance_uid=instance_uid,
            transfer_syntax_uid=syntax,
            file_head=file_head(class_uid, instance_uid, syntax),
            content=command.DataSet.getvalue() if command.DataSet else b"",
        )


def _terms(prepare: Callable[[OutgoingAssociation], None]) -> Terms:
    # one syntax in each context, so that the peer can send every image as it has it
    images = [build_context(kind, syntax) for kind in IMAGE_CLASSES for syntax in IMAGE_SYNTAXES]
    roles: list[SCP_SCU_RoleSelectionNegotiation] = [
        build_role(kind, scp_role=True) for kind in IMAGE_CLASSES
    ]
    get = build_context(STUDY_ROOT_GET, QUERY_SYNTAXES)
    return Terms((get, *images), tuple(roles), prepare)


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


def _prepare(line: OutgoingAssociation) -> None:
    require_context(line, STUDY_ROOT_MOVE, "C-MOVE (study root)")
